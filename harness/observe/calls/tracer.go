// SPDX-License-Identifier: Apache-2.0

// Package calls sees, in the guest, which calls of patched functions ran old
// code and which ran new: by function tracing of both, drained in binary.
//
// What lives here: the tracing instance, the kernel's trace pages, what a
// call's entries mean, counting. What must not: what the counts mean (packages
// check and report), how they travel (channel, mailbox).
package calls

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/harness/observe"
)

const vmlinux = "vmlinux"

// DefaultBufferKB is a CPU's buffer: 37,000 calls.
const DefaultBufferKB = 1024

// Options say where to look. The zero value is good.
type Options struct {
	// Proc and Sys are the roots of the two file systems; "" for /proc, /sys.
	Proc, Sys string
	// Run runs what may take long, in a thread fit for it; nil: as it comes.
	Run func(func() error) error
}

// Tracer sees the calls of patched functions. Concurrency: its methods may be
// called from several goroutines.
type Tracer struct {
	o Options

	mu        sync.Mutex
	instance  *instance
	symbols   symbols
	emit      func(observe.Event)
	functions []function
	targets   map[uint64]target // by address: what is entered there
	entries   map[uint64]target // by the traced address
	unplaced  bool              // a module's functions are still to be found
	held      []record          // not yet sorted in with those of other CPUs
	pairs     *pairing
	counts    *counts
	tasks     tasks
	lost      uint64 // of records, told
	overrun   uint64 // of the buffers, from before
	broken    error  // a page could not be read, told
	spent     spending
	stop      chan struct{} // closed to end the drains; nil: none run
	done      sync.WaitGroup
}

// New makes a tracer that does nothing yet.
func New(o Options) *Tracer {
	o.Proc, o.Sys = cmp.Or(o.Proc, "/proc"), cmp.Or(o.Sys, "/sys")
	if o.Run == nil {
		o.Run = func(f func() error) error { return f() }
	}
	return &Tracer{
		o: o, symbols: symbols{sys: o.Sys, files: map[string]moduleFile{}, modules: map[string]*module{}},
		tasks: tasks{proc: o.Proc, known: map[int]taskKind{}},
	}
}

// Prepare does what takes long: the instance, the kernel's symbols. A guest
// that is to be saved does it before, for its forks.
func (t *Tracer) Prepare() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.o.Run(t.prepare)
}

func (t *Tracer) prepare() (err error) {
	if t.instance == nil {
		if t.instance, err = openInstance(t.o.Sys+"/kernel/tracing", DefaultBufferKB); err != nil {
			return err
		}
	}
	if t.symbols.image == nil {
		t.symbols.image, err = readSymbols(t.o.Proc, t.o.Sys)
	}
	return err
}

func readSymbols(proc, sys string) (*image, error) {
	in, err := os.Open(proc + "/kallsyms")
	if err != nil {
		return nil, fmt.Errorf("the kernel's symbols: %w", err)
	}
	defer in.Close()
	im, err := readImage(in)
	if err != nil {
		return nil, err
	}
	can, err := os.Open(sys + "/kernel/tracing/available_filter_functions")
	if err != nil {
		return nil, fmt.Errorf("the functions that can be traced: %w", err)
	}
	defer can.Close()
	return im, im.number(can)
}

// Loading notes the file of a module that is about to be loaded, by its path
// or its content, and has its functions traced if they are to be.
func (t *Tracer) Loading(name, path string, content []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.symbols.files[name] = moduleFile{path, content}
	t.symbols.forget(name)
	if t.pairs == nil {
		return
	}
	t.unplaced = true
	_ = t.o.Run(func() error { return t.instance.filter(t.expected(name)...) })
}

// There notes the file of a module that was loaded before anything was asked.
func (t *Tracer) There(name, path string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.symbols.files[name] = moduleFile{path: path}
}

// Refused takes back what Loading had: the kernel keeps the words for a module
// that has not come, and their numbers will be another's. Of one that is there
// already, which is why it was refused, all stays.
func (t *Tracer) Refused(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pairs == nil || !t.concerns(name) || t.symbols.module(name) != nil {
		return
	}
	_ = t.o.Run(func() error { return t.instance.filter("!*:mod:" + name) })
}

// Loaded looks which of a loaded module's functions are traced now.
func (t *Tracer) Loaded(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pairs == nil {
		return
	}
	t.find()
	_ = t.o.Run(func() error { return t.verify(name) }) // what it cannot read, no event will tell
}

// Unloaded takes in what a module's functions still did, and forgets where
// they were.
func (t *Tracer) Unloaded(name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.pairs != nil {
		t.drain(now())
		m := t.symbols.modules[name]
		for address := range t.targets {
			if m != nil && m.find(address) != nil {
				delete(t.targets, address)
			}
		}
		clear(t.entries)
		t.unplaced = true
	}
	t.symbols.forget(name)
}

// Request is what to see.
type Request struct {
	Patches []observe.TracedPatch
	// BufferKB is the size of each CPU's buffer; 0 for DefaultBufferKB.
	BufferKB int
}

// Begin sees the calls of more functions from now on; a patch's module must
// not be loaded yet. What comes of it is emitted. A kernel that cannot be
// traced is told of, and no error.
func (t *Tracer) Begin(in Request, emit func(observe.Event)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.emit = emit
	err := t.o.Run(func() error { return t.begin(in) })
	if err != nil {
		for _, p := range in.Patches {
			emit(observe.Event{T: now(), Kind: observe.KindTracing, Tracing: &observe.Tracing{TracedPatch: p, Why: err.Error()}})
		}
	}
	return nil
}

func (t *Tracer) begin(in Request) error {
	if err := t.prepare(); err != nil {
		return err
	}
	if in.BufferKB != 0 {
		if err := t.instance.resize(in.BufferKB); err != nil {
			return err
		}
	}
	if t.pairs == nil {
		t.overrun = t.instance.overrun() // in a fork of a guest that traced: not ours
		t.counts, t.targets, t.entries = newCounts(now(), t.traced), map[uint64]target{}, map[uint64]target{}
		t.pairs = newPairing(func(tid int) string { return t.tasks.of(tid).context }, t.symbols.hooked, t.called)
		for _, m := range []string{markStart, markReverse, markComplete} {
			if address, err := t.symbols.address(vmlinux, m, 0); err == nil && address != 0 {
				t.targets[address] = target{mark: m}
			}
		}
	}
	var words []string
	for _, p := range in.Patches {
		for _, f := range p.Functions {
			words = append(words, t.add(p.Patch, f)...)
		}
	}
	t.unplaced = true
	if err := t.instance.filter(words...); err != nil {
		// A function that cannot be traced is found missing below; the other
		// words took effect.
		var errno unix.Errno
		if !errors.As(err, &errno) || errno != unix.EINVAL && errno != unix.ENODEV {
			return err
		}
	}
	for _, p := range in.Patches {
		t.emit(observe.Event{T: now(), Kind: observe.KindTracing, Tracing: &observe.Tracing{TracedPatch: p, Exact: t.exact()}})
	}
	if err := t.seen(); err != nil {
		return err
	}
	if t.stop == nil {
		if err := t.instance.on(); err != nil {
			return err
		}
		t.spent.since = now()
		t.start()
	}
	return nil
}

// seen looks which functions are traced of those that are there.
func (t *Tracer) seen() error {
	traced, err := t.instance.filtered()
	if err != nil {
		return err
	}
	if err := t.byName(traced); err != nil {
		return err
	}
	loaded := []string{vmlinux}
	for i := range t.functions {
		if object := t.functions[i].Object; t.symbols.module(object) != nil && !slices.Contains(loaded, object) {
			loaded = append(loaded, object)
		}
	}
	return t.verify(loaded...)
}

// exact says whether the marks of the livepatch core can be seen.
func (t *Tracer) exact() bool {
	seen := map[string]bool{}
	for _, target := range t.targets {
		seen[target.mark] = true
	}
	return seen[markStart] && seen[markComplete]
}
