// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/gofrs/flock"
	"github.com/google/renameio/v2"

	"github.com/switchyard-project/switchyard/kernels"
)

// kvmDevice is a variable for the tests.
var kvmDevice = "/dev/kvm"

// ChooseAccel turns what was wanted ("auto", "kvm" or "tcg") into an
// accelerator, and says why. "auto" takes KVM if a guest boots with it (see
// ProbeKVM; the answer is kept in cacheDir for this QEMU until the host
// reboots); "kvm" on a machine where none does is a *kernels.Lacking.
func ChooseAccel(ctx context.Context, want string, qemu QEMU, kernel, cacheDir string) (Accel, string, error) {
	switch want {
	case "tcg":
		return TCG, "asked for", nil
	case "kvm", "auto", "":
	default:
		return "", "", fmt.Errorf("accelerator %q is unknown: say auto, kvm or tcg", want)
	}
	lacking := openKVM()
	why := ""
	if lacking == nil {
		probe, err := cachedProbe(ctx, qemu, kernel, cacheDir)
		if err != nil {
			return "", "", err
		}
		if probe.Works {
			return KVM, probe.Reason, nil
		}
		why = probe.Reason
		lacking = &kernels.Lacking{
			What:   "a KVM that works",
			Err:    errors.New(probe.Reason),
			Remedy: "run with -accel tcg, or on a machine that is not itself such a guest",
		}
	} else {
		why = lacking.Err.Error()
	}
	if want == "kvm" {
		return "", "", lacking
	}
	return TCG, "no KVM: " + why, nil
}

// openKVM says what keeps this user from /dev/kvm; nil if nothing does. Never
// cached: rights change.
func openKVM() *kernels.Lacking {
	f, err := os.OpenFile(kvmDevice, os.O_RDWR, 0)
	switch {
	case err == nil:
		f.Close()
		return nil
	case errors.Is(err, fs.ErrPermission):
		return &kernels.Lacking{
			What: "the right to use KVM", Err: err,
			Remedy: `run "sudo usermod -aG kvm $USER" and log in again; on a CI runner add the udev rule ` +
				`KERNEL=="kvm", GROUP="kvm", MODE="0666", OPTIONS+="static_node=kvm"; or use -accel tcg`,
		}
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENXIO), errors.Is(err, syscall.ENODEV):
		return &kernels.Lacking{
			What: "KVM", Err: err,
			Remedy: "load the module kvm_intel or kvm_amd, switch virtualization on in the firmware (or nested virtualization in the hypervisor), or use -accel tcg",
		}
	}
	return &kernels.Lacking{What: "a KVM that opens", Err: err, Remedy: "use -accel tcg"}
}

// cachedProbe probes once for each QEMU and boot of the host; processes that
// come meanwhile wait for the one that does.
func cachedProbe(ctx context.Context, qemu QEMU, kernel, dir string) (Probe, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return Probe{}, fmt.Errorf("cache of the KVM probe: %w", err)
	}
	path := filepath.Join(dir, "kvm-"+probeKey(qemu)+".json")
	if p, ok := readProbe(path); ok {
		return p, nil
	}
	lock := flock.New(filepath.Join(dir, "kvm.lock"))
	if ok, err := lock.TryLockContext(ctx, tokenPoll); err != nil || !ok {
		return Probe{}, fmt.Errorf("lock of the KVM probe: %w", err)
	}
	defer func() { _ = lock.Unlock() }()
	if p, ok := readProbe(path); ok {
		return p, nil
	}
	p, err := ProbeKVM(ctx, qemu, kernel)
	if err != nil {
		return p, err
	}
	text, err := json.Marshal(p)
	if err == nil {
		err = renameio.WriteFile(path, append(text, '\n'), 0o644)
	}
	if err != nil {
		return p, fmt.Errorf("cache of the KVM probe: %w", err)
	}
	return p, nil
}

func readProbe(path string) (p Probe, ok bool) {
	text, err := os.ReadFile(path)
	return p, err == nil && json.Unmarshal(text, &p) == nil && p.Reason != ""
}

// probeKey names this QEMU on this boot of this host.
func probeKey(qemu QEMU) string {
	boot, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%q %s %s\n", bytes.TrimSpace(boot), qemu.Argv, qemu.DataDir, qemu.Version)
	for _, arg := range qemu.Argv {
		if info, err := os.Stat(arg); err == nil {
			fmt.Fprintf(h, "%d %d\n", info.Size(), info.ModTime().UnixNano())
		}
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8])
}
