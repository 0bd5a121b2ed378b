// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// Identity is everything that a fork must have in common with the machine it
// forks from: QEMU and this host's CPU, the devices the guest sees, what was
// booted. QEMU itself says nothing when these differ: a fork with another CPU
// model hangs, one with virtual time where the machine had none stands still.
func (c Config) Identity() string {
	c, _ = c.withDefaults()
	c.RAM, c.Dir, c.incoming = RAM{}, "", nil
	var text strings.Builder
	fmt.Fprintf(&text, "QEMU %s\n", qemuIdentity(c.QEMU))
	fmt.Fprintf(&text, "host %s\n", hostCPU())
	devices := c.hardware(byHand)
	for _, d := range c.Extra {
		switch d.(type) {
		case Blob, Seed, Debugger: // QEMU's own, the guest sees no difference
		case Results: // the port, wherever it leads
			devices = append(devices, Results{})
		default:
			devices = append(devices, d)
		}
	}
	for _, d := range append(devices, Kernel{Image: c.Kernel, Initrd: c.Initrd}) {
		fmt.Fprintf(&text, "%q %q\n", d.Cmdline(), d.KArgs())
	}
	fmt.Fprintf(&text, "append %q\n", c.Append)
	for _, file := range []string{c.Kernel, c.Initrd} {
		if info, err := os.Stat(file); err == nil {
			fmt.Fprintf(&text, "%s %d %d\n", file, info.Size(), info.ModTime().UnixNano())
		}
	}
	return text.String()
}

// qemuIdentity names this very build. It leaves out the libraries that QEMU
// loads: what a snapshot holds is written and read by the program's own code,
// and of the libraries only libslirp puts anything in it, for a user network,
// which no machine has. (The tool root's have their versions in the path.) The
// firmware beside a host's QEMU is left out as well: a snapshot holds that of
// the machine that was saved, and if another one takes more room, QEMU refuses
// it, and it is made again. Source: QEMU's docs/devel/migration/best-practices.rst,
// Firmware.
func qemuIdentity(q QEMU) string {
	h := sha256.New()
	fmt.Fprintf(h, "%q %s %s\n", q.Argv, q.DataDir, q.Version)
	for _, arg := range q.Argv {
		if info, err := os.Stat(arg); err == nil {
			fmt.Fprintf(h, "%d %d\n", info.Size(), info.ModTime().UnixNano())
		}
	}
	return fmt.Sprintf("%s %x", q.Version, h.Sum(nil)[:8])
}

// hostCPU names the host's CPU model and what it can do: KVM hands it to the
// guest.
var hostCPU = sync.OnceValue(func() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	first, _, _ := bytes.Cut(text, []byte("\n\n"))
	var model string
	h := sha256.New()
	for line := range strings.Lines(string(first)) {
		name, value, _ := strings.Cut(line, ":")
		switch strings.TrimSpace(name) {
		case "model name":
			model = strings.TrimSpace(value)
			fallthrough
		case "vendor_id", "cpu family", "model", "stepping", "microcode", "flags":
			h.Write([]byte(line))
		}
	}
	return fmt.Sprintf("%s %x", model, h.Sum(nil)[:8])
})

// Waiting is a QEMU that waits to become a fork: half of a fork's time is
// QEMU's start.
type Waiting struct {
	cfg      Config
	snapshot *Snapshot
	process  *process
	once     sync.Once
}

// Ready starts a QEMU that waits to become a fork of s: cfg is the machine
// that was saved; Extra may differ as it says there, and RAM may be a new
// Shared file, which gets a copy of the memory: a fork that can be saved in
// turn. Somebody must Fork it or Close it.
func (s *Snapshot) Ready(ctx context.Context, cfg Config) (*Waiting, error) {
	if want, have := s.Identity, cfg.Identity(); want != have {
		return nil, &SnapshotError{Dir: s.Dir, Err: fmt.Errorf("it is of another machine: %s", difference(want, have))}
	}
	cfg.incoming = s
	switch ram := filepath.Join(s.Dir, ramFile); {
	case s.Mapped && cfg.RAM.Shared:
		if err := copySparse(cfg.RAM.File, ram); err != nil {
			return nil, &SnapshotError{Dir: s.Dir, Err: err}
		}
	case s.Mapped:
		cfg.RAM = RAM{File: ram}
	}
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	p, err := spawn(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return &Waiting{cfg: cfg, snapshot: s, process: p}, nil
}

// difference is the first line in which two identities differ.
func difference(want, have string) string {
	wants, haves := strings.Split(want, "\n"), strings.Split(have, "\n")
	for i := range min(len(wants), len(haves)) {
		if wants[i] != haves[i] {
			return fmt.Sprintf("%q there, %q here", wants[i], haves[i])
		}
	}
	return fmt.Sprintf("%d lines there, %d here", len(wants), len(haves))
}

// Alive says whether the QEMU still waits, as far as is known.
func (w *Waiting) Alive() bool { return len(w.process.exited) == 0 }

// Close ends a QEMU that is not needed. After Fork it does nothing.
func (w *Waiting) Close() { w.once.Do(w.process.close) }

// Fork makes a machine of it, with the Dir, Silence, Deadline and Heard of cfg.
// A machine that was saved running runs; one that was paused is paused still,
// until Cont.
func (w *Waiting) Fork(ctx context.Context, cfg Config) (*Machine, error) {
	own := w.cfg
	own.Dir, own.Silence, own.Deadline, own.Heard = cfg.Dir, cfg.Silence, cfg.Deadline, cfg.Heard
	own, err := own.prepare()
	if err != nil {
		return nil, err
	}
	used := true
	w.once.Do(func() { used = false })
	if used {
		return nil, errors.New("fork: this QEMU was taken already")
	}
	m, err := take(ctx, own, w.process, time.Now())
	if err != nil {
		w.process.ends.channel.Close()
		return nil, err
	}
	if err := m.restore(ctx, w.snapshot); err != nil {
		var unfit *SnapshotError
		if ctx.Err() == nil && !errors.As(err, &unfit) {
			m.Fate(deathGrace) // QEMU gives up with a reason, which takes a moment
		}
		m.End(err)
		m.Channel().Close()
		if death := m.Wait(); !isCanceled(death) {
			return nil, death // the reason that QEMU gave
		}
		return nil, fmt.Errorf("fork of %s: %w", w.snapshot.Dir, err)
	}
	return m, nil
}

func isCanceled(death error) bool {
	var c *Canceled
	return errors.As(death, &c)
}

// restore loads the device state.
func (m *Machine) restore(ctx context.Context, s *Snapshot) error {
	if err := m.Execute(ctx, "migrate-set-capabilities", capabilities(s.Mapped), nil); err != nil {
		return err
	}
	uri := streamIn(m.cfg.QEMU, filepath.Join(s.Dir, stateFile))
	if err := m.Execute(ctx, "migrate-incoming", map[string]any{"uri": uri}, nil); err != nil {
		return err
	}
	err := m.await(ctx, "query-status", func(answer migrationStatus) (bool, error) {
		return answer.Status != "inmigrate", nil
	})
	if err == nil && !s.Current() {
		return &SnapshotError{Dir: s.Dir, Err: errReplaced}
	}
	return err
}

// Fork starts a machine that goes on where s was saved. See Waiting.Fork.
func (s *Snapshot) Fork(ctx context.Context, cfg Config) (*Machine, error) {
	w, err := s.Ready(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer w.Close()
	return w.Fork(ctx, cfg)
}
