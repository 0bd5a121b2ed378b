// SPDX-License-Identifier: Apache-2.0

package calls

import (
	"cmp"
	"slices"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// target is what the entry of a traced function means; the zero value is one
// that only happens to be traced.
type target struct {
	// functions are indices into Tracer.functions: the one that was entered, or
	// those that it may replace, several if they have the same name.
	functions []int
	fresh     bool // a replacement was entered, and not the patched function
	version   string
	mark      string // of the livepatch core
}

// call is one call as it was made out.
type call struct {
	record
	function int
	version  string
	context  string
}

// stackKey names a stack of calls: a task's, or that of what interrupts a CPU.
type stackKey struct {
	level level
	id    int // thread id; of the idle task and of interrupts the CPU
}

func keyOf(r record) stackKey {
	if r.level == inTask && r.pid != 0 {
		return stackKey{inTask, r.pid}
	}
	return stackKey{r.level, -1 - r.cpu}
}

// pairing makes calls of entries, in the order of their stamps. ftrace is in
// the patched function's entry: a call that livepatch redirects shows there,
// and then, next on the same stack and from the same caller, in the
// replacement. One that stays alone ran the old code. A replacement that is
// entered without was called directly, by another function of the patch.
//
// Whoever hooks the patched function's return (a kretprobe, a fexit program)
// has put a trampoline of its own where the caller's address was, by the time
// that the replacement is entered.
type pairing struct {
	pending map[stackKey]pending
	tasklet map[int]bool // CPUs on which a tasklet's softirq is served
	context func(tid int) string
	emit    func(call)
	// hooked says whether an address is in such a trampoline.
	hooked func(address uint64) bool
}

type pending struct {
	record
	function int
	context  string
}

func newPairing(context func(tid int) string, hooked func(address uint64) bool, emit func(call)) *pairing {
	return &pairing{pending: map[stackKey]pending{}, tasklet: map[int]bool{}, context: context, hooked: hooked, emit: emit}
}

// take takes the next record, and what it is the entry of.
func (p *pairing) take(r record, t target) {
	switch r.kind {
	case softirqIn:
		p.tasklet[r.cpu] = true
		return
	case softirqOut:
		delete(p.tasklet, r.cpu)
		return
	case gap:
		p.forget(r.cpu)
		return
	case born:
		return
	}
	key := keyOf(r)
	before, waits := p.pending[key]
	if waits {
		delete(p.pending, key)
		if t.fresh && slices.Contains(t.functions, before.function) && (before.parent == r.parent || p.hooked(r.parent)) {
			before.emit(p, t.version)
			return
		}
		before.emit(p, observe.Original)
	}
	switch {
	case len(t.functions) == 0:
	case t.fresh:
		p.emit(call{r, t.functions[0], t.version, p.contextOf(r)})
	default:
		p.pending[key] = pending{r, t.functions[0], p.contextOf(r)}
	}
}

func (w pending) emit(p *pairing, version string) {
	p.emit(call{w.record, w.function, version, w.context})
}

func (p *pairing) contextOf(r record) string {
	switch r.level {
	case inNMI:
		return observe.InNMI
	case inHardIRQ:
		return observe.InHardIRQ
	case inSoftIRQ:
		if p.tasklet[r.cpu] {
			return observe.InTasklet
		}
		return observe.InSoftIRQ
	}
	return p.context(r.pid)
}

// forget drops what waits on a CPU whose records are not all here: whether a
// replacement followed is not known.
func (p *pairing) forget(cpu int) {
	delete(p.tasklet, cpu)
	for key, w := range p.pending {
		if w.cpu == cpu {
			delete(p.pending, key)
		}
	}
}

// settle calls old what has waited for long enough. Between the two entries of
// one call lie some instructions, unless the task, or the whole of a virtual
// CPU, is kept from running there: so what is given up on must have been
// waiting for hopeless, or be of a stack that is known to be over: of a task
// that sleeps or is gone, and of which no record has come since.
func (p *pairing) settle(now int64, over func(stackKey) bool) {
	var old []pending
	for key, w := range p.pending {
		if now-w.t > hopeless || over != nil && key.level == inTask && key.id > 0 && now-w.t > holdBack && over(key) {
			old = append(old, w)
			delete(p.pending, key)
		}
	}
	slices.SortFunc(old, func(a, b pending) int { return cmp.Or(cmp.Compare(a.t, b.t), cmp.Compare(a.cpu, b.cpu)) })
	for _, w := range old {
		w.emit(p, observe.Original)
	}
}

// undecided says whether something that was entered before limit may still
// turn out either way. It does within hopeless.
func (p *pairing) undecided(limit int64) bool {
	for _, w := range p.pending {
		if w.t <= limit {
			return true
		}
	}
	return false
}

// In ns of the guest's clock.
const (
	hopeless = 1e9
	// holdBack is how long records wait to be sorted in with those of other
	// CPUs.
	holdBack = 50e6
)
