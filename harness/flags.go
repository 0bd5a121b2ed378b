// SPDX-License-Identifier: Apache-2.0

// Package harness is the test API for cases: EachKernel, Boot, Apply, Expect.
// A case reads as a story; everything that a guest leaves behind is cleaned up
// by the test that booted it.
//
// It is the only package that knows testing.T. What must not live here:
// anything that a run without a test needs as well (package run).
package harness

import (
	"flag"
	"fmt"
	"os"
	"strconv"
	"time"
)

// settings are the flags of a test binary that imports this package. Each has
// an environment twin (SWITCHYARD_KERNEL for -kernel, and so on), since
// `go test ./... -kernel 6.1` would fail in packages that lack the flag.
var settings struct {
	kernel      string
	accel       string
	qemu        string
	route       string
	vms         int
	smp         int
	mem         int
	keep        bool
	cold        bool
	artifacts   string // SWITCHYARD_ARTIFACTS; the flag -artifacts is go test's own since Go 1.26
	bootTimeout time.Duration
}

func init() {
	s := &settings
	flag.StringVar(&s.kernel, "kernel", env("KERNEL", "6.1,6.12"), "kernels to test on: a version, a release, a comma list, lts, or all that are here")
	flag.StringVar(&s.accel, "accel", env("ACCEL", "auto"), "accelerator: auto, kvm or tcg")
	flag.StringVar(&s.qemu, "qemu", env("QEMU", ""), "QEMU to use: host, tool or a path (default: the host's if it is good enough)")
	flag.StringVar(&s.route, "route", env("ROUTE", "auto"), "how modules are built: kbuild, btf (from the kernel's image alone) or auto (kbuild where there are headers)")
	flag.IntVar(&s.vms, "vms", number("VMS"), "machines at once over all processes (default: half the cores with KVM, all with TCG)")
	flag.IntVar(&s.smp, "smp", number("SMP"), "vCPUs of a guest (default: by kernel and accelerator)")
	flag.IntVar(&s.mem, "mem", number("MEM"), "memory of a guest in MiB (default: 512)")
	flag.BoolVar(&s.keep, "keep", truth("KEEP"), "keep the artifacts of tests that pass")
	flag.BoolVar(&s.cold, "cold", truth("COLD"), "boot every guest instead of forking snapshots")
	s.artifacts = env("ARTIFACTS", "")
	flag.DurationVar(&s.bootTimeout, "boot-timeout", duration("BOOT_TIMEOUT"), "wall time for a guest to boot (default: 3m)")
}

func env(name, otherwise string) string {
	if v, ok := os.LookupEnv("SWITCHYARD_" + name); ok {
		return v
	}
	return otherwise
}

// number reads an environment twin; what is no number is an error before any
// test runs.
func number(name string) int {
	v := env(name, "")
	if v == "" {
		return 0
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		badEnvironment(name, v, "a number")
	}
	return n
}

func truth(name string) bool {
	v := env(name, "")
	if v == "" {
		return false
	}
	b, err := strconv.ParseBool(v)
	if err != nil {
		badEnvironment(name, v, "1 or 0")
	}
	return b
}

func duration(name string) time.Duration {
	v := env(name, "")
	if v == "" {
		return 0
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		badEnvironment(name, v, "a duration such as 90s")
	}
	return d
}

func badEnvironment(name, value, want string) {
	fmt.Fprintf(os.Stderr, "SWITCHYARD_%s=%q is not %s\n", name, value, want)
	os.Exit(2)
}
