// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/switchyard-project/switchyard/kernels/guard"
)

// Bounds of the probe. A guest on a KVM that works gets there in a second.
const (
	probeSilence = 5 * time.Second
	probeTime    = 15 * time.Second
	probeMemMiB  = 256
)

// probeGoal is where a kernel ends that was given neither an initramfs nor a
// disk: everything before it has worked, timers and interrupts included.
// https://elixir.bootlin.com/linux/latest/source/init/do_mounts.c
const probeGoal = "Unable to mount root fs"

// Probe is what a guest on KVM did.
type Probe struct {
	Works bool `json:"works"`
	// Reason says what was seen: a sentence without its full stop.
	Reason string        `json:"reason"`
	Took   time.Duration `json:"took_ns"`
}

// ProbeKVM boots kernel for a moment with KVM and without an initramfs. That
// /dev/kvm opens says little: under some hypervisors its guests hang. The
// error is for what is no fault of KVM, such as a QEMU that does not start.
func ProbeKVM(ctx context.Context, qemu QEMU, kernel string) (Probe, error) {
	dir, remove, err := guard.Scratch(os.TempDir(), "switchyard-probe")
	if err != nil {
		return Probe{}, err
	}
	defer remove()
	start := time.Now()
	m, err := Start(ctx, Config{
		QEMU: qemu, Accel: KVM, CPUs: 1, MemMiB: probeMemMiB, Kernel: kernel, Dir: dir,
		Silence: probeSilence, Deadline: start.Add(probeTime),
	})
	if err == nil {
		err = m.Wait()
	}
	return judgeProbe(err, time.Since(start))
}

func judgeProbe(death error, took time.Duration) (Probe, error) {
	p := Probe{Took: took}
	var (
		panicked *GuestPanic
		silent   *Silence
		late     *DeadlineExceeded
		exited   *QEMUExit
		killed   *QEMUKilled
		seen     Death
	)
	if !errors.As(death, &seen) {
		return p, fmt.Errorf("probe KVM: %w", death)
	}
	reached := ""
	if e := seen.Seen(); len(e.Console) == 0 {
		reached = "without a line on the console"
	} else {
		reached = fmt.Sprintf("after %d lines on the console", len(e.Console)+e.Omitted)
	}
	switch {
	case errors.As(death, &panicked) && strings.Contains(panicked.Reason, probeGoal):
		p.Works = true
		p.Reason = fmt.Sprintf("a guest came up with it in %.1f s", took.Seconds())
	case errors.As(death, &panicked):
		p.Reason = "a guest panicked with it: " + panicked.Reason
	case errors.As(death, &silent), errors.As(death, &late):
		p.Reason = fmt.Sprintf("/dev/kvm opens, but a guest hung with it %s (%.0f s); some nested hypervisors do that", reached, took.Seconds())
	case errors.As(death, &killed) && killed.Stderr != "":
		p.Reason = "QEMU failed with it: " + lastOf(killed.Stderr)
	case errors.As(death, &exited) && strings.Contains(strings.ToLower(exited.Stderr), "kvm"):
		p.Reason = "QEMU refused it: " + lastOf(exited.Stderr)
	case errors.As(death, &exited):
		return p, fmt.Errorf("probe KVM: %w", death)
	default:
		var ended *Canceled
		if errors.As(death, &ended) {
			return p, fmt.Errorf("probe KVM: %w", death)
		}
		p.Reason = fmt.Sprintf("a guest died with it %s: %v", reached, death)
	}
	return p, nil
}
