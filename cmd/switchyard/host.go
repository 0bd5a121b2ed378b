// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/dustin/go-humanize"

	"github.com/switchyard-project/switchyard/harness/run"
	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// host is the machine as its files tell of it. A test gives others.
type host struct {
	root    string // "/": where /proc, /sys and /dev are
	machine string // as Go calls it: runtime.GOARCH
	uid     int
	sudo    bool // whether there is a sudo to ask
	open    func(path string) error
}

func thisHost() host {
	_, noSudo := exec.LookPath("sudo")
	return host{root: "/", machine: runtime.GOARCH, uid: os.Getuid(), sudo: noSudo == nil, open: func(path string) error {
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err == nil {
			f.Close()
		}
		return err
	}}
}

// read gives a file's content without the space around it, "" if it cannot be
// read: most of them are not on every machine.
func (h host) read(path string) string {
	text, _ := os.ReadFile(filepath.Join(h.root, path))
	return strings.TrimSpace(string(text))
}

// kernel says what the host runs; guests here are x86-64 only.
func (h host) kernel(context.Context) finding {
	f := finding{what: "host", says: fmt.Sprintf("Linux %s on %s, %s", h.read("proc/sys/kernel/osrelease"), h.machine, user(h.uid))}
	if slices.Contains(h.cpuFlags(), "hypervisor") {
		f.says += "; itself a virtual machine"
	}
	if h.machine != "amd64" {
		f.err = &kernels.Lacking{What: "an x86-64 machine (this is " + h.machine + ")", Remedy: "run it on one: the tools it fetches, QEMU among them, are x86-64 programs"}
	}
	return f
}

func user(uid int) string {
	if uid == 0 {
		return "root"
	}
	return fmt.Sprintf("user %d", uid)
}

// cpu says how many guests run at once.
func (h host) cpu(context.Context) finding {
	cores, model := 0, ""
	h.eachCPULine(func(name, value string) {
		switch name {
		case "processor":
			cores++
		case "model name":
			model = value
		}
	})
	f := finding{what: "cpu", says: fmt.Sprintf("%d cores, %s; a run takes one", cores, model)}
	if cores == 1 {
		f.says = fmt.Sprintf("1 core, %s; a run takes it whole", model)
	}
	return f
}

// memory holds what is free against one guest and what goes with it.
func (h host) memory(context.Context) finding {
	var total, available uint64
	for line := range strings.Lines(h.read("proc/meminfo")) {
		name, value, _ := strings.Cut(line, ":")
		n, _ := strconv.ParseUint(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 64)
		switch name {
		case "MemTotal":
			total = n << 10
		case "MemAvailable":
			available = n << 10
		}
	}
	f := finding{what: "memory", says: fmt.Sprintf("%s, %s available; a guest takes %d MiB", humanize.IBytes(total), humanize.IBytes(available), run.DefaultMemMiB)}
	const beside = 200 << 20 // QEMU itself, the compiler, this program
	if available < run.DefaultMemMiB<<20+beside {
		f.err = &optionalError{&kernels.Lacking{
			What:   "memory for a guest of the default size: " + humanize.IBytes(available) + " available",
			Remedy: "free some, or give guests less: `-mem 256 -vms 1`",
		}}
	}
	return f
}

// namespaces says whether settings forbid what building modules needs: a
// place of its own for the compiler. The line "tool root" says whether it
// works.
func (h host) namespaces(context.Context) finding {
	f := finding{what: "namespaces"}
	var forbidding, commands []string
	for _, b := range toolroot.Blockers(filepath.Join(h.root, "proc/sys")) {
		forbidding = append(forbidding, b.Setting)
		commands = append(commands, "`"+b.Command+"`")
	}
	switch {
	case len(forbidding) == 0:
		f.says = "users may make them"
	case h.uid == 0:
		f.says = "root may make them; users may not: " + strings.Join(forbidding, ", ")
	case h.sudo:
		f.says = "users may not make them: " + strings.Join(forbidding, ", ") + "; sudo is tried instead"
	default:
		f.err = &kernels.Lacking{What: "user namespaces: " + strings.Join(forbidding, ", "), Remedy: "run " + strings.Join(commands, " and ")}
	}
	return f
}

// kvmDevice says what there is of KVM, before a guest is tried with it.
func (h host) kvmDevice(context.Context) finding {
	module, flag := h.kvmModule()
	facts := "built into the host's kernel"
	if module != "" {
		facts = module
		if nested := h.read("sys/module/" + module + "/parameters/nested"); nested != "" {
			facts += map[bool]string{true: ", nested guests allowed", false: ", nested guests not allowed"}[nested == "Y" || nested == "1"]
		}
	}
	f := finding{what: "kvm device", says: "/dev/kvm opens; " + facts}
	lack := func(what, remedy string, err error) finding {
		f.err = &optionalError{&kernels.Lacking{What: what, Remedy: remedy, Err: err}}
		return f
	}
	err := h.open(filepath.Join(h.root, "dev/kvm"))
	switch {
	case err == nil:
		return f
	case errors.Is(err, fs.ErrPermission):
		return lack("the right to use /dev/kvm", "run `sudo usermod -aG kvm $USER` and log in again; on a CI runner add the udev rule of .github/workflows/ci.yml", err)
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENXIO) && !errors.Is(err, syscall.ENODEV):
		return lack("a /dev/kvm that opens", "run with -accel tcg", err)
	case module != "":
		return lack("/dev/kvm, although "+module+" is loaded", "in a container, start it with --device /dev/kvm; else run `sudo mknod /dev/kvm c 10 232`", nil)
	case flag == "vmx":
		return lack("KVM: this CPU has VT-x, and its module is not loaded", "run `sudo modprobe kvm_intel`", nil)
	case flag == "svm":
		return lack("KVM: this CPU has AMD-V, and its module is not loaded", "run `sudo modprobe kvm_amd`", nil)
	case slices.Contains(h.cpuFlags(), "hypervisor"):
		return lack("KVM: this virtual machine's CPU has no virtualization", "allow nested virtualization in the hypervisor (for KVM: `modprobe kvm_intel nested=1` and -cpu host there), or take a machine type that has it", nil)
	}
	return lack("KVM: this CPU shows no virtualization", "switch VT-x or AMD-V on in the firmware", nil)
}

// kvmModule is the module that is loaded, "" for none, and the CPU's flag for
// virtualization.
func (h host) kvmModule() (module, flag string) {
	for _, m := range []string{"kvm_intel", "kvm_amd"} {
		if _, err := os.Stat(filepath.Join(h.root, "sys/module", m)); err == nil {
			module = m
		}
	}
	for _, f := range h.cpuFlags() {
		if f == "vmx" || f == "svm" {
			flag = f
		}
	}
	return module, flag
}

func (h host) cpuFlags() (flags []string) {
	h.eachCPULine(func(name, value string) {
		if name == "flags" && flags == nil {
			flags = strings.Fields(value)
		}
	})
	return flags
}

func (h host) eachCPULine(f func(name, value string)) {
	for lines := bufio.NewScanner(strings.NewReader(h.read("proc/cpuinfo"))); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), ":")
		f(strings.TrimSpace(name), strings.TrimSpace(value))
	}
}
