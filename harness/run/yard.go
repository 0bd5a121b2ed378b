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
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/vm"
	"github.com/switchyard-project/switchyard/images"
	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/debian"
	"github.com/switchyard-project/switchyard/kernels/local"
	"github.com/switchyard-project/switchyard/kernels/source"
	"github.com/switchyard-project/switchyard/kernels/store"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// Options are what holds for all runs of a process.
type Options struct {
	QEMU  string // "": the host's if it is good enough, else the tool root's; "host", "tool" or a path
	Accel string // "auto", "kvm" or "tcg"
	// Route is how modules are built of C sources.
	Route patch.Route
	VMs   int // how many machines at once, over all processes; 0: see defaultVMs
	// Prefork keeps QEMUs waiting for forks to come: for who starts many guests
	// in a row. Close ends them.
	Prefork bool
	// Progress hears of downloads, in bytes, and Objects of kernels being built,
	// in objects; both may be nil.
	Progress, Objects kernels.Progress
	// Note hears, as a sentence, what a person should know; may be nil.
	Note func(text string)
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

	// Source builds kernels from source.
	Source *source.Provider

	archive *debian.Archive
	rootMu  sync.Mutex
	root    *toolroot.Root
	qemuMu  sync.Mutex
	qemu    *vm.QEMU

	kits     sync.Map
	found    sync.Map // what this process has looked at already, see once
	bundled  sync.Map // what it has described in a bundle already
	pool     *pool
	goldenMu sync.Mutex
	goldens  map[string]*Snapshot
	// forkTimeout is forkTimeout, but for tests.
	forkTimeout time.Duration
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
	keys, err := source.KernelOrgKeys()
	if err != nil {
		return nil, err
	}
	y := &Yard{
		Options: o,
		Store:   st,
		archive: archive,

		forkTimeout: forkTimeout,
	}
	if o.Prefork {
		y.pool = &pool{size: max(o.VMs, runtime.NumCPU())}
	}
	y.Builder = &patch.Builder{Store: st, Root: y.Root, Route: o.Route, Archive: archive, Progress: o.Progress}
	y.Source = &source.Provider{
		Store: st, Root: y.Root, Mirror: os.Getenv(source.MirrorVariable), Releases: source.KernelOrg, Keys: keys,
		Jobs: runtime.NumCPU(), Progress: o.Progress, Objects: o.Objects, Note: o.Note, Waiting: o.Waiting,
	}
	y.Catalogue = &kernels.Catalogue{Providers: []kernels.Provider{debian.NewProvider(archive), y.Source, &local.Provider{Store: st}}}
	return y, nil
}

// Close ends what waits for further runs.
func (y *Yard) Close() { y.pool.close() }

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

// once gives the path that make gave for key before, if it is still there, and
// else asks it. Runs by the hundred in one process need not look a hundred
// times whether the agent's sources or a kernel's thousand headers changed.
func (y *Yard) once(key string, make func() (string, error)) (string, error) {
	if path, known := y.found.Load(key); known {
		if _, err := os.Stat(path.(string)); err == nil {
			return path.(string), nil
		}
	}
	path, err := make()
	if err == nil {
		y.found.Store(key, path)
	}
	return path, err
}

// Kit is the kernel c, fetched if need be.
func (y *Yard) Kit(ctx context.Context, c kernels.Candidate) (*kernels.Kit, error) {
	var kit *kernels.Kit
	key := "kit " + c.Source + " " + c.Release + " " + c.Version
	_, err := y.once(key, func() (dir string, err error) {
		if kit, err = y.Catalogue.Get(ctx, c); err != nil {
			return "", err
		}
		y.kits.Store(key, kit)
		return kit.VMLinux, nil
	})
	if kit == nil && err == nil {
		known, _ := y.kits.Load(key)
		kit = known.(*kernels.Kit)
	}
	return kit, err
}

// image is the path of an initramfs.
func (y *Yard) image(ctx context.Context, spec images.Spec) (string, error) {
	build := func() (string, error) {
		image, err := spec.Build(ctx, y.Store)
		if err != nil {
			return "", err
		}
		return image.Path, nil
	}
	if len(spec.Files) > 0 {
		return build()
	}
	return y.once(fmt.Sprintf("image %s %t", spec.Kit.VMLinux, spec.Commands), build)
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

// AtOnce is how many runs are worth starting at a time: those beyond would only
// wait for a machine.
func (y *Yard) AtOnce() int {
	if y.VMs > 0 {
		return y.VMs
	}
	return defaultVMs(vm.TCG)
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
