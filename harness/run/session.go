// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/kernels"
)

// DefaultStallAfter is the guest time after which a transition counts as
// stalled: past the core's signal at its 15th round of 0.75 to 1.75 s.
const DefaultStallAfter = 40 * time.Second

// guestModules is where modules are put in the guest.
const guestModules = "/tmp/switchyard"

// Refused is the kernel's no to a module.
type Refused struct {
	Module string
	Errno  syscall.Errno
	// Words are the lines that the kernel logged while it refused.
	Words []string
}

func (r *Refused) Error() string {
	text := fmt.Sprintf("the kernel refused %s: %v", r.Module, r.Errno)
	if len(r.Words) > 0 {
		text += " (" + strings.Join(r.Words, "; ") + ")"
	}
	return text
}

func (r *Refused) Unwrap() error { return r.Errno }

// Insert loads a module, whatever it is. The error is a *Refused when the
// kernel said no, the machine's death when it died of it.
func (g *Guest) Insert(ctx context.Context, m *patch.Module, params string) error {
	f, err := os.Open(m.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	inside := path.Join(guestModules, m.Name+".ko")
	if err := g.Client.Put(ctx, inside, 0o644, f, info.Size()); err != nil {
		return g.orDeath(err)
	}
	g.insertedMu.Lock()
	g.inserted = append(g.inserted, m) // also one that the kernel will not have
	g.insertedMu.Unlock()
	mark := g.rec.mark()
	g.rec.action("load", m.Name, "begin", nil)
	err = g.patiently(ctx, "load "+m.Name, func() error { return g.Client.Load(ctx, inside, params) })
	g.rec.action("load", m.Name, "end", err)
	var errno syscall.Errno
	if err == nil || !errors.As(err, &errno) {
		return g.orDeath(err)
	}
	return &Refused{Module: m.Name, Errno: errno, Words: g.kernelWords(ctx, mark)}
}

// Applied is one transition as it was followed.
type Applied struct {
	Module *patch.Module
	To     string // observe.Apply or observe.Revert
	Phase  *observe.Phase
	// Blockers are the tasks in the way when a stall was called.
	Blockers []observe.Blocker
	// Unhooked says of functions that are to be patched and are not hooked.
	Unhooked []string

	events  int // of the timeline, as of which it is told
	setting check.Setting
}

// Done says whether the transition ended.
func (a *Applied) Done() bool { return a.Phase != nil && a.Phase.Done() }

// Outcome is what came of the transition.
func (a *Applied) Outcome() check.Outcome {
	phase := a.evidence()
	verdict, reason := check.Judge(check.Evidence{Phases: []check.Phase{phase}, WrongProbes: a.Unhooked})
	return check.Outcome{Verdict: verdict, Reason: reason, Blockers: a.Blockers, Diagnosis: phase.Diagnosis}
}

// evidence is what a judge needs of it.
func (a *Applied) evidence() check.Phase { return check.PhaseOf(a.To, a.Phase, a.Blockers, a.setting) }

// Apply loads a livepatch module and follows its transition to its end, or
// until stallAfter of guest time (0: DefaultStallAfter) has passed. Errors:
// as Insert.
func (g *Guest) Apply(ctx context.Context, m *patch.Module, stallAfter time.Duration) (*Applied, error) {
	mark := g.rec.mark()
	if err := g.Insert(ctx, m, ""); err != nil {
		return nil, err
	}
	a, err := g.follow(ctx, m, mark, observe.Apply, stallAfter)
	if err != nil || !a.Done() {
		return a, err
	}
	a.Unhooked, err = g.unhooked(ctx, m)
	return a, err
}

// Disable begins the reverse transition and follows it, as Apply does. In
// the middle of a transition it reverses that one.
func (g *Guest) Disable(ctx context.Context, m *patch.Module, stallAfter time.Duration) (*Applied, error) {
	return g.enable(ctx, m, "disable", observe.Revert, stallAfter)
}

// Enable turns a reverse transition round, and follows it as Disable does.
func (g *Guest) Enable(ctx context.Context, m *patch.Module, stallAfter time.Duration) (*Applied, error) {
	return g.enable(ctx, m, "enable", observe.Apply, stallAfter)
}

func (g *Guest) enable(ctx context.Context, m *patch.Module, action, to string, stallAfter time.Duration) (*Applied, error) {
	mark := g.rec.mark()
	g.rec.action(action, m.Name, "begin", nil)
	err := g.patiently(ctx, action+" "+m.Name, func() error { return g.Client.SetEnabled(ctx, m.Name, to == observe.Apply) })
	g.rec.action(action, m.Name, "end", err)
	if err != nil {
		return nil, g.orDeath(err)
	}
	return g.follow(ctx, m, mark, to, stallAfter)
}

// Follow waits again for a transition that had stalled.
func (g *Guest) Follow(ctx context.Context, a *Applied, stallAfter time.Duration) (*Applied, error) {
	if now := g.applied(a.Module, a.To); now.Done() {
		return now, nil // it ended meanwhile
	}
	return g.follow(ctx, a.Module, g.rec.mark(), a.To, stallAfter)
}

// follow waits for the end of m's transition. All times are the guest's.
func (g *Guest) follow(ctx context.Context, m *patch.Module, mark int, to string, stallAfter time.Duration) (*Applied, error) {
	if stallAfter == 0 {
		stallAfter = DefaultStallAfter
	}
	begin, err := g.Client.Now(ctx)
	if err != nil {
		return nil, g.orDeath(err)
	}
	stalled := false
	err = g.rec.wait(ctx, mark, func(e observe.Event) (bool, error) {
		if e.Clock == observe.Guest && e.Seq != 0 && e.T-begin >= int64(stallAfter) {
			stalled = true
		}
		tr := e.Transition
		ended := tr != nil && !tr.Exact && tr.Patch == m.Name && tr.Edge == observe.EdgeEnd && tr.To == to
		return ended || stalled, nil
	})
	if err != nil {
		return nil, fmt.Errorf("follow the transition of %s: %w", m.Name, g.orDeath(err))
	}
	if !stalled {
		g.awaitTrace(ctx, mark)
	}
	a := g.applied(m, to)
	if stalled && !a.Done() {
		if a.Blockers, err = g.Client.Blockers(ctx, functionNames(m)); err != nil {
			return a, g.orDeath(err)
		}
	}
	return a, nil
}

// traceLag bounds, in host time, the wait for the kernel's own stamps of an
// end that was seen already: they come through a buffer.
const traceLag = time.Second

// awaitTrace waits for the kernel's stamp of a transition's end since mark,
// which comes behind the last round. Where the kernel is not traced, or the
// stamp is lost, what was seen must do.
func (g *Guest) awaitTrace(ctx context.Context, mark int) {
	for _, e := range g.Timeline() {
		if e.Watch != nil && !e.Watch.Rounds {
			return
		}
	}
	ctx, cancel := context.WithTimeout(ctx, traceLag)
	defer cancel()
	_ = g.rec.wait(ctx, mark, func(e observe.Event) (bool, error) {
		tr := e.Transition
		return tr != nil && tr.Exact && tr.Edge == observe.EdgeEnd, nil
	})
}

// applied is the newest transition of m, as far as the timeline has it now.
func (g *Guest) applied(m *patch.Module, to string) *Applied {
	t := g.Timeline()
	f := observe.Followed{Patch: m.Name, To: to, Events: len(t)}
	a := &Applied{Module: m, To: to, Phase: f.Phase(t), events: len(t)}
	a.setting.Broken = check.BrokenLoads(t, a.Phase)
	if canTell(g.Kit) {
		a.setting.Can = g.Kit.Can
	}
	return a
}

// canTell says whether it is known what the kernel can do, as far as a
// diagnosis asks.
func canTell(kit *kernels.Kit) bool { return kit != nil && kit.Knows(kernels.ReliableStacks) }

func functionNames(m *patch.Module) []string {
	var names []string
	for _, f := range m.Manifest.Functions {
		names = append(names, f.Name)
	}
	return names
}

// Unload removes a module. The core drops a livepatch's reference only some
// time after its transition ended (kpatch PR 1147), so a module that is in
// use for now is asked again until unloadWait of guest time has passed.
func (g *Guest) Unload(ctx context.Context, name string) error {
	begin, err := g.Client.Now(ctx)
	if err != nil {
		return g.orDeath(err)
	}
	g.rec.action("unload", name, "begin", nil)
	for {
		err = g.patiently(ctx, "unload "+name, func() error { return g.Client.Unload(ctx, name) })
		if !errors.Is(err, syscall.EAGAIN) && !errors.Is(err, syscall.EBUSY) {
			break
		}
		now, clockErr := g.Client.Now(ctx)
		if clockErr != nil || now-begin > int64(unloadWait) {
			break
		}
	}
	g.rec.action("unload", name, "end", err)
	if err != nil {
		return fmt.Errorf("unload %s: %w", name, g.orDeath(err))
	}
	return nil
}

const unloadWait = 10 * time.Second
