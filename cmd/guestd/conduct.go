// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/harness/channel"
	"github.com/switchyard-project/switchyard/harness/mailbox"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/observe/calls"
	"github.com/switchyard-project/switchyard/harness/observe/lateness"
	"github.com/switchyard-project/switchyard/harness/observe/sampler"
)

// conduct is a plan that is being carried out: the steps are those of
// harness/run, which drives other guests from outside.
type conduct struct {
	*agent
	plan  mailbox.Plan
	watch *watch
	out   *results
	end   func() error // of the machine

	loads   []int // ids, in the order of their start
	applied int   // patches whose transition began
	whole   bool  // all of them went through, both ways
	refused bool
}

// Times of the guest's own clock.
const (
	// loadPatience is how long a load may take to make progress.
	loadPatience = 30 * time.Second
	// progressOps is what each of a load's workers must have done to count as
	// going.
	progressOps = 5
	// unloadPatience is how long a module may be in use after its patch's
	// revert: the core drops its reference some time later.
	unloadPatience = 10 * time.Second
	// traceLag is how long the kernel's own stamp of a transition's end may
	// come after its end was seen.
	traceLag = 100 * time.Millisecond
	// fencePatience is how long a line may take through the kernel's log.
	fencePatience = 10 * time.Second
	retryEvery    = 10 * time.Millisecond
)

// errGivenUp ends a plan whose end has been told.
var errGivenUp = errors.New("the plan was given up")

func (a *agent) carryOut(plan mailbox.Plan, out *results) error {
	c := &conduct{agent: a, plan: plan, whole: true, out: out, end: a.powerOff}
	var functions []string
	for _, p := range plan.Patches {
		functions = append(functions, p.Functions...)
	}
	w, err := a.watchOf(channel.WatchOptions{Functions: functions})
	if err != nil {
		return err
	}
	written := make(chan error, 1)
	go func() { written <- out.follow(w) }()
	if _, err := w.first(); err != nil {
		return err
	}
	c.watch = w
	c.tell(mailbox.Result{Began: &mailbox.Began{Seed: plan.Seed}})
	for _, step := range []func() error{
		c.insertWith, c.lookBefore, c.traceCalls, c.startLoads, c.beginLateness, c.applyAll, c.steady, c.revertAll, c.unloadAll, c.endLateness, c.stopLoads, c.endCalls, c.fence,
	} {
		if err = step(); err != nil {
			break
		}
	}
	if err != nil && !errors.Is(err, errGivenUp) {
		c.tell(mailbox.Result{Failed: &mailbox.Failed{What: "carry out the plan", Error: err.Error()}})
	}
	c.endWatch(w)
	c.tell(mailbox.Result{Over: &mailbox.Over{}})
	return <-written
}

func (c *conduct) tell(r mailbox.Result) { c.watch.ring.Emit(resultEvent(r)) }

// action tells of something done, around do.
func (c *conduct) action(name, detail string, do func() error) error {
	note := func(edge string, err error) {
		act := &observe.Action{Name: name, Detail: detail, Edge: edge}
		if err != nil {
			act.Error = err.Error()
		}
		c.watch.ring.Emit(observe.Event{T: monotonic(), Kind: observe.KindAction, Action: act})
	}
	note("begin", nil)
	err := c.patiently(func(late error) { note("end", late) }, do)
	note("end", err)
	return err
}

// patiently calls do, which asks the kernel for something. A kernel that does not
// come back from it, and so leaves the plan where it is, has the machine ended,
// after late was told and all is in the host's file. The host finds no end of the
// plan there.
func (c *conduct) patiently(late func(error), do func() error) error {
	defer time.AfterFunc(observe.KernelPatience, func() {
		late(fmt.Errorf("the kernel did not come back for %v", observe.KernelPatience))
		last := c.watch.ring.Last()
		for until := monotonic() + int64(fencePatience); c.out.told.Load() < last && monotonic() < until; {
			pause(retryEvery)
		}
		_ = c.out.drain()
		_ = c.end()
	}).Stop()
	return do()
}

func (c *conduct) insert(m mailbox.Module) error {
	return c.action("load", m.Name, func() error {
		return c.insertModule(m.Name, "", m.Content, "")
	})
}

func (c *conduct) insertWith() error {
	for _, m := range c.plan.With {
		if err := c.insert(m); err != nil {
			c.tell(mailbox.Result{Failed: &mailbox.Failed{What: "load module " + m.Name, Error: err.Error()}})
			return errGivenUp
		}
	}
	return nil
}

// traceCalls has the calls of all patches' functions seen, if that is planned.
func (c *conduct) traceCalls() error {
	if !c.plan.Calls {
		return nil
	}
	var in calls.Request
	for _, p := range c.plan.Patches {
		in.Patches = append(in.Patches, observe.TracedPatch{Patch: p.Name, Replace: p.Replace, Functions: p.Traced})
	}
	return c.calls.Begin(in, c.watch.ring.Emit)
}

func (c *conduct) endCalls() error {
	c.calls.End()
	return nil
}

func (c *conduct) lookBefore() error {
	if err := c.listModules(mailbox.Before); err != nil {
		return err
	}
	c.probe(mailbox.Before, 0, len(c.plan.Patches))
	return nil
}

func (c *conduct) listModules(when string) error {
	all, err := listModules()
	if err != nil {
		return err
	}
	m := mailbox.Modules{When: when, Refs: map[string]int{}}
	for _, module := range all {
		m.Refs[module.Name] = module.RefCount
	}
	left, err := listLivepatches(channel.LivepatchFolder)
	if err != nil {
		return err
	}
	for _, p := range left {
		m.Livepatches = append(m.Livepatches, p.Name)
	}
	c.tell(mailbox.Result{Modules: &m})
	return nil
}

// probe reads the probes of the patches from one to before another.
func (c *conduct) probe(when string, from, to int) {
	for i := from; i < to; i++ {
		for _, path := range c.plan.Patches[i].Probes {
			p := mailbox.Probe{When: when, Patch: i, Path: path}
			var b []byte
			err := c.patiently(func(late error) {
				c.tell(mailbox.Result{Probe: &mailbox.Probe{When: when, Patch: i, Path: path, Error: late.Error()}})
			}, func() (err error) {
				b, err = os.ReadFile(path)
				return err
			})
			if err != nil {
				p.Error = err.Error()
			}
			p.Text = strings.ToValidUTF8(string(b[:min(len(b), mailbox.MaxProbe)]), "\ufffd")
			c.tell(mailbox.Result{Probe: &p})
		}
	}
}

func (c *conduct) applyAll() error {
	pause(time.Duration(c.plan.BeforeApplyNS))
	if err := c.lateWindow(lateness.Apply); err != nil {
		return err
	}
	for i, p := range c.plan.Patches {
		mark := c.watch.ring.Last()
		err := c.insert(p.Module)
		var errno unix.Errno
		if errors.As(err, &errno) {
			if err := c.fence(); err != nil { // the kernel's words come first
				return err
			}
			c.tell(mailbox.Result{Refused: &mailbox.Refused{Patch: i, Errno: errno, Error: err.Error()}})
			c.refused, c.whole = true, false
			return nil
		}
		if err != nil {
			return err
		}
		c.applied = i + 1
		if !c.follow(i, mark, observe.Apply) {
			return nil
		}
		c.probe(mailbox.Patched, i, i+1)
	}
	return nil
}

// follow waits for the end of a patch's transition, and says whether it came.
func (c *conduct) follow(patch int, mark uint64, to string) bool {
	p := c.plan.Patches[patch]
	edge := func(t *observe.Transition) bool {
		return !t.Exact && t.Patch == p.Name && t.Edge == observe.EdgeEnd && t.To == to
	}
	f := mailbox.Followed{Patch: patch, To: to, Done: c.await(mark, time.Duration(c.plan.StallAfterNS), edge)}
	if f.Done {
		c.await(mark, traceLag, func(t *observe.Transition) bool { return t.Exact && t.Edge == observe.EdgeEnd })
	} else {
		c.whole = false
		f.Blockers = sampler.Examination{Functions: p.Functions, Core: true}.Blockers(context.Background())
	}
	c.tell(mailbox.Result{Followed: &f})
	return f.Done
}

// await waits for an edge after the event numbered mark.
func (c *conduct) await(mark uint64, patience time.Duration, right func(*observe.Transition) bool) bool {
	return c.awaitEvent(mark, patience, func(e observe.Event) bool { return e.Transition != nil && right(e.Transition) })
}

func (c *conduct) awaitEvent(mark uint64, patience time.Duration, right func(observe.Event) bool) bool {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	batch := make([]observe.Event, 0, 64)
	for {
		events, _, err := c.watch.ring.Next(ctx, mark, batch[:0])
		if err != nil {
			return false
		}
		for _, e := range events {
			if mark = e.Seq; right(e) {
				return true
			}
		}
	}
}

// steady lets the loads run against the patched code.
func (c *conduct) steady() error {
	if c.whole {
		if err := c.lateWindow(lateness.Patched); err != nil {
			return err
		}
		c.progress()
		c.settle()
	}
	pause(time.Duration(c.plan.BeforeRevertNS))
	return nil
}

// revertAll disables what was applied, the last first; also one that stalled.
func (c *conduct) revertAll() error {
	if c.applied > 0 {
		if err := c.lateWindow(lateness.Revert); err != nil {
			return err
		}
	}
	for i := c.applied - 1; i >= 0; i-- {
		name := c.plan.Patches[i].Name
		if _, there := number(channel.LivepatchFolder + "/" + name + "/enabled"); !there {
			continue // its transition never began
		}
		mark := c.watch.ring.Last()
		err := c.action("disable", name, func() error {
			return c.priority.ordinarily(func() error {
				return setLivepatch(channel.LivepatchFolder, channel.SetLivepatch{Name: name})
			})
		})
		if err != nil {
			return err
		}
		if !c.follow(i, mark, observe.Revert) {
			return nil
		}
	}
	if err := c.lateWindow(lateness.After); err != nil {
		return err
	}
	c.probe(mailbox.After, 0, c.applied)
	return nil
}

func (c *conduct) unloadAll() error {
	if !c.whole {
		return nil
	}
	for i := c.applied - 1; i >= 0; i-- {
		name := c.plan.Patches[i].Name
		u := mailbox.Unloaded{Patch: i}
		err := c.action("unload", name, func() error {
			for until := monotonic() + int64(unloadPatience); ; {
				err := c.removeModule(name)
				if !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EBUSY) || monotonic() > until {
					return err
				}
				pause(retryEvery)
			}
		})
		if err != nil {
			u.Error = err.Error()
		}
		c.tell(mailbox.Result{Unloaded: &u})
	}
	return c.listModules(mailbox.After)
}

// fence waits until all that the kernel has logged is told.
func (c *conduct) fence() error {
	return c.fenceBy(func(line string) error {
		return writeFile(channel.WriteFileRequest{Path: "/dev/kmsg", Data: []byte(line)})
	})
}

// fenceBy is fence with a line that log has the kernel log.
func (c *conduct) fenceBy(log func(line string) error) error {
	return observe.Fence(c.watch.ring.Last, log, func(from uint64, right func(observe.Event) bool) error {
		if !c.awaitEvent(from, fencePatience, right) {
			return errors.New("the kernel's log does not come")
		}
		return nil
	})
}

func (c *conduct) startLoads() error {
	for i, l := range c.plan.Loads {
		pause(time.Duration(l.DelayNS))
		id, err := c.startLoad(context.Background(), l.Spec)
		if err != nil {
			c.tell(mailbox.Result{Failed: &mailbox.Failed{What: "start load " + l.Name, Error: err.Error()}})
			return errGivenUp
		}
		c.loads = append(c.loads, id.ID)
		c.tell(mailbox.Result{Started: &mailbox.Started{ID: id.ID, Load: i}})
	}
	c.progress()
	return nil
}

// progress waits until every load has done some more.
func (c *conduct) progress() {
	goals := map[int]uint64{}
	for _, l := range c.readLoads() {
		goals[l.ID] = l.Ops + uint64(progressOps*max(l.N, 1))
	}
	for until := monotonic() + int64(loadPatience); len(goals) > 0 && monotonic() < until; pause(retryEvery) {
		for _, l := range c.readLoads() {
			if goal, waits := goals[l.ID]; waits && (l.Ops >= goal || l.Dead) {
				delete(goals, l.ID)
			}
		}
	}
	for _, id := range c.loads { // in order: a map has none
		if _, stuck := goals[id]; stuck {
			c.tell(mailbox.Result{Stuck: &mailbox.Stuck{ID: id}})
		}
	}
}

func (c *conduct) stopLoads() error {
	for _, id := range slices.Clone(c.loads) {
		last, err := c.stopLoad(context.Background(), channel.LoadID{ID: id})
		if err != nil {
			return err
		}
		c.tell(mailbox.Result{Stopped: &last})
	}
	return nil
}
