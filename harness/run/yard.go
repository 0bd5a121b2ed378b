// SPDX-License-Identifier: Apache-2.0

// Package run is one patch on one kernel once, from plan to result: the
// pipeline that both the command and the tests drive. It is the one package
// that sees all the others.
//
// What must not live here: testing.T (package harness), printing (package
// report and cmd/switchyard), and anything that only one of the two drivers
// needs.
package run

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/vm"
	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/debian"
	"github.com/switchyard-project/switchyard/kernels/store"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// Options are what holds for all runs of a process.
type Options struct {
	QEMU  string // "": the host's if it is good enough, else the tool root's; "host", "tool" or a path
	Accel string // "auto", "kvm" or "tcg"
	VMs   int    // how many machines at once, over all processes; 0: see defaultVMs
	// Progress hears of downloads; may be nil.
	Progress kernels.Progress
	// Waiting hears, as a noun phrase, what is being waited for; may be nil.
	Waiting func(what string)
}

// Yard is what runs share: the cache, the kernels to be had, the tools. Its
// methods may be called from several goroutines.
type Yard struct {
	Options
	Store     *store.Store
	Catalogue *kernels.Catalogue
	Builder   *patch.Builder

	archive *debian.Archive
	rootMu  sync.Mutex
	root    *toolroot.Root
	qemuMu  sync.Mutex
	qemu    *vm.QEMU
}

// NewYard opens the default cache.
func NewYard(o Options) (*Yard, error) {
	st, err := store.Open("")
	if err != nil {
		return nil, err
	}
	if o.Waiting != nil {
		st.Waiting = func(entry string) { o.Waiting("another process, which makes " + entry) }
	}
	archive, err := debian.NewArchive(st, o.Progress)
	if err != nil {
		return nil, err
	}
	y := &Yard{
		Options:   o,
		Store:     st,
		Catalogue: &kernels.Catalogue{Providers: []kernels.Provider{debian.NewProvider(archive)}},
		archive:   archive,
	}
	y.Builder = &patch.Builder{Store: st, Root: y.Root}
	return y, nil
}

// Root opens the tool root, fetching it the first time.
func (y *Yard) Root(ctx context.Context) (*toolroot.Root, error) {
	y.rootMu.Lock()
	defer y.rootMu.Unlock()
	if y.root == nil {
		root, err := toolroot.Open(ctx, y.Store, y.archive)
		if err != nil {
			return nil, err
		}
		y.root = root
	}
	return y.root, nil
}

// FindQEMU decides once which QEMU runs the guests.
func (y *Yard) FindQEMU(ctx context.Context) (vm.QEMU, error) {
	y.qemuMu.Lock()
	defer y.qemuMu.Unlock()
	if y.qemu == nil {
		q, err := toolroot.FindQEMU(ctx, y.QEMU, func() (*toolroot.Root, error) { return y.Root(ctx) })
		if err != nil {
			return vm.QEMU{}, err
		}
		found := vm.QEMU(q)
		y.qemu = &found
	}
	return *y.qemu, nil
}

// token waits until this machine may start another guest.
func (y *Yard) token(ctx context.Context, accel vm.Accel) (release func(), err error) {
	n := y.VMs
	if n == 0 {
		n = defaultVMs(accel)
	}
	if y.Waiting != nil {
		// Said only if the turn does not come soon.
		said := time.AfterFunc(2*time.Second, func() { y.Waiting(fmt.Sprintf("one of %d machines to end (-vms)", n)) })
		defer said.Stop()
	}
	return vm.Token(ctx, filepath.Join(y.Store.Dir, "vms"), n)
}

// defaultVMs is half the cores with KVM, where a guest of two vCPUs can keep
// two of them busy. Under TCG a guest mostly keeps one (package vm has QEMU
// older than 10 emulate all vCPUs in one thread), so there it is all cores.
func defaultVMs(accel vm.Accel) int {
	if accel == vm.TCG {
		return runtime.NumCPU()
	}
	return max(runtime.NumCPU()/2, 1)
}
