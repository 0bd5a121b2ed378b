// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"time"

	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/vm"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// goldenKind is the cache's kind of the snapshots that every run and case of
// one machine forks from.
const goldenKind = "goldens"

// goldenVersion changes when what is done before the save does.
const goldenVersion = 2

// keptGoldens bounds how many snapshots stay in the cache, 80 to 100 MB each:
// the ones that were forked last.
const keptGoldens = 24

// golden gives the snapshot of a machine that has just booted, making it if
// there is none. Machines that differ in anything, down to QEMU's build, have
// different ones, and so have users: a snapshot is code.
func (y *Yard) golden(ctx context.Context, cfg GuestConfig, machine vm.Config) (*Snapshot, error) {
	if !cfg.Layer.empty() {
		return y.layered(ctx, cfg, machine)
	}
	return y.makeGolden(ctx, cfg, machine, func(ctx context.Context, own vm.Config) (*Guest, error) {
		m, err := y.warmModule(ctx, cfg.Kit)
		if err != nil {
			return nil, err
		}
		g, err := y.boot(ctx, cfg, own)
		if err != nil {
			return nil, err
		}
		if err := g.warm(ctx, m); err != nil {
			_ = g.Close(context.WithoutCancel(ctx))
			return nil, err
		}
		g.rec.forgetGuest()
		return g, nil
	})
}

// layered is the snapshot behind cfg.Layer: made in a fork of the golden one,
// whose memory it has a copy of.
func (y *Yard) layered(ctx context.Context, cfg GuestConfig, machine vm.Config) (*Snapshot, error) {
	return y.makeGolden(ctx, cfg, machine, func(ctx context.Context, own vm.Config) (*Guest, error) {
		below := cfg
		below.Layer = Layer{}
		s, err := y.golden(ctx, below, machine)
		if err != nil {
			return nil, err
		}
		g, err := y.forkOn(ctx, s, below, own)
		if err != nil {
			if ctx.Err() == nil && !fatal(err) && !blameless(err) {
				y.forget(ctx, s)
				err = &vm.SnapshotError{Dir: s.Dir, Err: err} // worth a second try
			}
			return nil, err
		}
		return g, g.layOrClose(ctx, cfg.Layer)
	})
}

// bootLogs is the folder of a snapshot with what the machine said while it
// was made.
const bootLogs = "boot"

// makeGolden is goldenOf a guest that begin brings to the moment at which it is
// to be saved.
func (y *Yard) makeGolden(ctx context.Context, cfg GuestConfig, machine vm.Config, begin func(ctx context.Context, own vm.Config) (*Guest, error)) (*Snapshot, error) {
	return y.goldenOf(ctx, cfg, machine, cfg.Layer.key(), func(ctx context.Context, own vm.Config) error {
		g, err := begin(ctx, own)
		if err != nil {
			return err
		}
		return g.save(ctx)
	})
}

// goldenOf finds the snapshot of a machine in the cache, or has save save one:
// of a machine with the memory and the folder of own. layer is what else makes
// it another snapshot.
func (y *Yard) goldenOf(ctx context.Context, cfg GuestConfig, machine vm.Config, layer string, save func(ctx context.Context, own vm.Config) error) (*Snapshot, error) {
	name := goldenName(cfg.Kit.Release, machine, layer)
	if s := y.opened(name); s != nil {
		return s, nil
	}
	if err := y.Store.Check(goldenKind, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, y.discard(ctx, name, err)
	}
	fresh := false
	dir, err := y.Store.Make(ctx, goldenKind, name, func(ctx context.Context, dir string) error {
		fresh = true
		if err := os.Chmod(dir, 0o700); err != nil { // whatever the umask
			return err
		}
		ram, err := vm.NewRAM(dir, machine.MemMiB)
		if err != nil {
			return err
		}
		own := machine
		own.RAM, own.Dir = ram, filepath.Join(dir, bootLogs)
		if err := os.Mkdir(own.Dir, 0o755); err != nil {
			return err
		}
		if err := save(ctx, own); err != nil {
			// The evidence must not go with the snapshot that did not come
			// about; if it cannot be kept, err still says the most of it.
			_ = os.CopyFS(filepath.Join(cfg.Dir, "snapshot-"+bootLogs), os.DirFS(own.Dir))
			return err
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("make the snapshot that runs of %s fork from: %w", cfg.Kit.Release, err)
	}
	if fresh {
		y.prune(ctx, name)
	}
	s, err := openGolden(dir)
	if err != nil {
		return nil, y.discard(ctx, name, err)
	}
	s.machine, s.cfg = machine, cfg
	return y.keep(name, s), nil
}

// goldenName is release and a hash of everything that makes the snapshot.
func goldenName(release string, machine vm.Config, layer string) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%d %d\n%s\n%s", goldenVersion, os.Geteuid(), machine.Identity(), layer))
	return fmt.Sprintf("%s-%x", release, sum[:8])
}

func openGolden(dir string) (*Snapshot, error) {
	s, err := vm.Open(dir)
	if err != nil {
		return nil, err
	}
	past, err := observe.Read(filepath.Join(dir, pastFile))
	if err != nil {
		return nil, &vm.SnapshotError{Dir: dir, Err: err}
	}
	return &Snapshot{Snapshot: s, past: past}, nil
}

// save makes a snapshot of the guest where its memory is, and ends it.
func (g *Guest) save(ctx context.Context) error {
	defer func() { _ = g.Close(context.WithoutCancel(ctx)) }()
	// Everything said at boot belongs to the past of the forks.
	if err := g.Fence(ctx); err != nil {
		return err
	}
	if err := g.Client.Park(ctx); err != nil {
		return g.orDeath(err)
	}
	s, err := g.Machine.Save(ctx)
	if err != nil {
		return g.orDeath(err)
	}
	_, err = g.remember(s, guestEvents(g.Timeline()))
	return err
}

// opened is a snapshot that this process has checked already, if it is still
// there.
func (y *Yard) opened(name string) *Snapshot {
	y.goldenMu.Lock()
	defer y.goldenMu.Unlock()
	s := y.goldens[name]
	if s == nil {
		return nil
	}
	if !s.Current() {
		delete(y.goldens, name)
		y.pool.drop(s)
		return nil
	}
	y.Store.Used(goldenKind, name) // prune takes another first
	return s
}

// keep remembers s, or gives the one that another goroutine opened before: the
// QEMUs that wait are for that one.
func (y *Yard) keep(name string, s *Snapshot) *Snapshot {
	y.goldenMu.Lock()
	defer y.goldenMu.Unlock()
	y.Store.Used(goldenKind, name)
	if known := y.goldens[name]; known != nil && known.Current() {
		return known
	}
	if y.goldens == nil {
		y.goldens = map[string]*Snapshot{}
	}
	y.goldens[name] = s
	return s
}

// forget throws a snapshot away that did not come up, unless another process
// has done so, and perhaps made it again.
func (y *Yard) forget(ctx context.Context, s *Snapshot) {
	y.pool.drop(s)
	_ = y.Store.RemoveIf(ctx, store.Entry{Kind: goldenKind, Name: filepath.Base(s.Dir)}, func(string) bool { return s.Current() })
}

// discard throws a snapshot away that cannot be opened because of why, and
// gives the reason as a *vm.SnapshotError. One that is somebody else's stays.
func (y *Yard) discard(ctx context.Context, name string, why error) error {
	dir := y.Store.Path(goldenKind, name)
	reason := &vm.SnapshotError{Dir: dir, Err: why}
	_, err := openGolden(dir) // of what the store finds, this says more
	if errors.As(err, &reason) && reason.Foreign {
		return reason
	}
	_ = y.Store.RemoveIf(ctx, store.Entry{Kind: goldenKind, Name: name}, func(dir string) bool {
		_, err := openGolden(dir)
		return err != nil || !y.Store.Has(goldenKind, name)
	})
	return reason
}

// prune removes the snapshots that were not forked for the longest time. One
// in use may go: its forks hold its files, and who would have forked it next
// makes it again.
func (y *Yard) prune(ctx context.Context, newest string) {
	all, err := os.ReadDir(filepath.Join(y.Store.Dir, goldenKind))
	if err != nil || len(all) <= keptGoldens {
		return
	}
	used := map[string]time.Time{}
	for _, e := range all {
		if info, err := e.Info(); err == nil {
			used[e.Name()] = info.ModTime()
		}
	}
	sort.Slice(all, func(i, j int) bool { return used[all[i].Name()].After(used[all[j].Name()]) })
	for _, e := range all[keptGoldens:] {
		if e.Name() != newest {
			_ = y.Store.Remove(ctx, store.Entry{Kind: goldenKind, Name: e.Name()})
		}
	}
}
