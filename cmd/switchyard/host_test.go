// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/kernels"
)

// fakeHost is a machine of which only the files given are there.
func fakeHost(t *testing.T, files map[string]string) host {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		path := filepath.Join(root, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text+"\n"), 0o644))
	}
	return host{root: root, machine: "amd64", uid: 1000, open: func(string) error { return fs.ErrNotExist }}
}

func cpuinfo(cores int, flags string) string {
	text := ""
	for i := range cores {
		text += fmt.Sprintf("processor\t: %d\nmodel name\t: Some CPU\nflags\t\t: fpu %s\n\n", i, flags)
	}
	return text
}

// TestHostFindings: each thing that can be wrong with a machine, on machines
// made for it: what is said, whether runs are possible, and what mends it.
func TestHostFindings(t *testing.T) {
	kernel, cpu, memory := host.kernel, host.cpu, host.memory
	namespaces, kvm := host.namespaces, host.kvmDevice
	const (
		appArmor = "proc/sys/kernel/apparmor_restrict_unprivileged_userns"
		debian   = "proc/sys/kernel/unprivileged_userns_clone"
		most     = "proc/sys/user/max_user_namespaces"
	)
	for name, c := range map[string]struct {
		files    map[string]string
		change   func(*host)
		look     func(host, context.Context) finding
		says     string // what is well
		lacks    string // what is not
		mend     string
		optional bool // runs are possible all the same
	}{
		"a host": {files: map[string]string{"proc/sys/kernel/osrelease": "6.8.0-1", "proc/cpuinfo": cpuinfo(2, "vmx")}, look: kernel, says: "Linux 6.8.0-1 on amd64, user 1000"},
		"a guest": {files: map[string]string{"proc/sys/kernel/osrelease": "6.8.0-1", "proc/cpuinfo": cpuinfo(2, "hypervisor")}, change: func(h *host) { h.uid = 0 },
			look: kernel, says: "Linux 6.8.0-1 on amd64, root; itself a virtual machine"},
		"another architecture": {change: func(h *host) { h.machine = "arm64" }, look: kernel, lacks: "an x86-64 machine (this is arm64)", mend: "run it on one"},
		"cores":                {files: map[string]string{"proc/cpuinfo": cpuinfo(4, "")}, look: cpu, says: "4 cores, Some CPU; a run takes one"},
		"a core":               {files: map[string]string{"proc/cpuinfo": cpuinfo(1, "")}, look: cpu, says: "1 core, Some CPU; a run takes it whole"},
		"memory":               {files: map[string]string{"proc/meminfo": "MemTotal:  8388608 kB\nMemAvailable: 4194304 kB"}, look: memory, says: "8.0 GiB, 4.0 GiB available; a guest takes 512 MiB"},
		"little memory":        {files: map[string]string{"proc/meminfo": "MemTotal:  8388608 kB\nMemAvailable: 409600 kB"}, look: memory, lacks: "400 MiB available", mend: "-mem 256", optional: true},

		"namespaces":           {files: map[string]string{appArmor: "0", debian: "1", most: "15000"}, look: namespaces, says: "users may make them"},
		"no such settings":     {look: namespaces, says: "users may make them"},
		"AppArmor":             {files: map[string]string{appArmor: "1"}, look: namespaces, lacks: "kernel.apparmor_restrict_unprivileged_userns=1", mend: "run `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0`"},
		"Debian's switch":      {files: map[string]string{debian: "0"}, look: namespaces, lacks: "unprivileged_userns_clone=0", mend: "run `sudo sysctl kernel.unprivileged_userns_clone=1`"},
		"none at all":          {files: map[string]string{most: "0", appArmor: "1"}, look: namespaces, lacks: "max_user_namespaces=0", mend: "run `sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0` and `sudo sysctl user.max_user_namespaces=10000`"},
		"AppArmor, with sudo":  {files: map[string]string{appArmor: "1"}, change: func(h *host) { h.sudo = true }, look: namespaces, says: "sudo is tried instead"},
		"AppArmor, but a root": {files: map[string]string{appArmor: "1"}, change: func(h *host) { h.uid = 0 }, look: namespaces, says: "root may make them"},

		"KVM":           {files: map[string]string{"sys/module/kvm_intel/parameters/nested": "Y"}, change: opens(nil), look: kvm, says: "/dev/kvm opens; kvm_intel, nested guests allowed"},
		"KVM of AMD":    {files: map[string]string{"sys/module/kvm_amd/parameters/nested": "0"}, change: opens(nil), look: kvm, says: "/dev/kvm opens; kvm_amd, nested guests not allowed"},
		"KVM built in":  {change: opens(nil), look: kvm, says: "/dev/kvm opens; built into the host's kernel"},
		"no right":      {files: map[string]string{"sys/module/kvm_intel/parameters/nested": "Y"}, change: opens(&fs.PathError{Op: "open", Path: "/dev/kvm", Err: syscall.EACCES}), look: kvm, lacks: "the right to use /dev/kvm", mend: "sudo usermod -aG kvm $USER", optional: true},
		"a container":   {files: map[string]string{"sys/module/kvm_amd/parameters/nested": "1"}, look: kvm, lacks: "/dev/kvm, although kvm_amd is loaded", mend: "--device /dev/kvm", optional: true},
		"no module":     {files: map[string]string{"proc/cpuinfo": cpuinfo(1, "vmx")}, look: kvm, lacks: "has VT-x", mend: "run `sudo modprobe kvm_intel`", optional: true},
		"no AMD module": {files: map[string]string{"proc/cpuinfo": cpuinfo(1, "svm")}, look: kvm, lacks: "has AMD-V", mend: "run `sudo modprobe kvm_amd`", optional: true},
		"not nested":    {files: map[string]string{"proc/cpuinfo": cpuinfo(1, "hypervisor")}, look: kvm, lacks: "this virtual machine's CPU", mend: "nested virtualization", optional: true},
		"firmware":      {files: map[string]string{"proc/cpuinfo": cpuinfo(1, "")}, look: kvm, lacks: "shows no virtualization", mend: "firmware", optional: true},
		"not supported": {change: opens(syscall.ENODEV), files: map[string]string{"proc/cpuinfo": cpuinfo(1, "")}, look: kvm, lacks: "shows no virtualization", mend: "firmware", optional: true},
		"odd":           {change: opens(syscall.EIO), look: kvm, lacks: "a /dev/kvm that opens", mend: "-accel tcg", optional: true},
	} {
		t.Run(name, func(t *testing.T) {
			h := fakeHost(t, c.files)
			if c.change != nil {
				c.change(&h)
			}
			f := c.look(h, t.Context())
			require.NotEmpty(t, f.what)
			if c.says != "" {
				require.NoError(t, f.err)
				require.Contains(t, f.says, c.says)
				return
			}
			var lacking *kernels.Lacking
			require.True(t, errors.As(f.err, &lacking), "%v", f.err)
			require.Contains(t, lacking.What, c.lacks)
			require.Contains(t, lacking.Remedy, c.mend)
			var optional *optionalError
			require.Equal(t, c.optional, errors.As(f.err, &optional))
		})
	}
}

func opens(err error) func(*host) {
	return func(h *host) { h.open = func(string) error { return err } }
}

// TestExamine: what is lacking is an error of the command's, unless runs can
// do without; the remedy stands under it.
func TestExamine(t *testing.T) {
	well := func(context.Context) finding { return finding{"go", "go1.26", nil} }
	slow := func(context.Context) finding {
		return finding{"kvm", "", &optionalError{errors.New("not used:\n  it hangs")}}
	}
	tight := func(context.Context) finding {
		return finding{"memory", "", &optionalError{&kernels.Lacking{What: "memory", Remedy: "buy some"}}}
	}
	lacking := func(context.Context) finding {
		return finding{"qemu", "", &kernels.Lacking{What: "a QEMU", Err: errors.New("none found"), Remedy: "run `x`"}}
	}
	for _, c := range []struct {
		all     []examination
		out     string
		lacking bool
	}{
		{[]examination{well}, "ok  go          go1.26\nRuns are possible.\n", false},
		{[]examination{well, slow}, "ok  go          go1.26\n--  kvm         not used: it hangs\nRuns are possible, by QEMU's own emulation.\n", false},
		{[]examination{tight}, "--  memory      memory\n    mend:       buy some\nRuns are possible.\n", false},
		{[]examination{lacking, well}, "--  qemu        a QEMU: none found\n    mend:       run `x`\nok  go          go1.26\n", true},
	} {
		var out bytes.Buffer
		err := examine(t.Context(), &out, c.all)
		require.Equal(t, c.out, out.String())
		require.Equal(t, c.lacking, kernels.IsLacking(err))
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errInterrupted)
	require.ErrorIs(t, examine(ctx, &bytes.Buffer{}, []examination{well}), errInterrupted)
}
