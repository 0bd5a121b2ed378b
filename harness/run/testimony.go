// SPDX-License-Identifier: Apache-2.0

package run

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/switchyard-project/switchyard/harness/mailbox"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/patch"
)

// testimony is what a guest with a mailbox said, while it is turned into the
// evidence that another guest's answers would have become.
type testimony struct {
	*execution
	plan *mailbox.Plan

	began  int64 // guest time, ns
	last   int64
	over   bool
	failed error  // what kept the plan from being carried out
	mark   int    // of the last module's load
	went   string // wrong, the last of it; "" for nothing
}

// unfinished is the end of a guest before that of its plan.
func (t *testimony) unfinished() error {
	const what = "the guest powered itself off before its plan was carried out"
	if t.went == "" {
		return errors.New(what)
	}
	return fmt.Errorf("%s (%s)", what, t.went)
}

// hear reads the results file, in order, and puts every event on the timeline.
// An error that is not the guest's own is one of the recorder.
func (t *testimony) hear(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	in := bufio.NewReader(f)
	if t.guest.Origin.Start == StartCold { // a snapshot's guest said it before it was saved
		line, err := in.ReadBytes('\n')
		if err != nil && err != io.EOF {
			return err
		}
		if err := isReady(bytes.NewReader(line), t.kit); err != nil {
			return err
		}
	}
	return mailbox.Read(in, func(e mailbox.Entry) error {
		if err := t.guest.rec.add(e.Event); err != nil {
			return err
		}
		t.last = e.T
		if e.Result == nil {
			switch a := e.Action; {
			case a == nil:
			case a.Error != "":
				t.went = fmt.Sprintf("%.40s %.80s: %.400s", a.Name, a.Detail, a.Error)
			case a.Name == "load" && a.Edge == "begin":
				t.mark = t.guest.rec.mark()
			}
			return nil
		}
		if t.over {
			return errors.New("the guest went on after the end of its results")
		}
		if err := t.take(e.Result, e.T); err != nil {
			return fmt.Errorf("the guest's results: %w", err)
		}
		return nil
	})
}

// take takes a result in. What it names must be in the plan: the guest may say
// anything.
func (t *testimony) take(r *mailbox.Result, at int64) error {
	switch {
	case r.Began != nil:
		if r.Began.Seed != t.plan.Seed {
			return fmt.Errorf("they are of seed %d", r.Began.Seed)
		}
		t.began = at
	case r.Failed != nil:
		t.failed = fmt.Errorf("%.80s: %.400s", r.Failed.What, r.Failed.Error)
	case r.Probe != nil:
		return t.takeProbe(r.Probe)
	case r.Modules != nil:
		if r.Modules.When == mailbox.Before {
			t.before = r.Modules.Refs
		} else {
			t.leaked(r.Modules.Refs, r.Modules.Livepatches)
		}
	case r.Started != nil:
		if r.Started.Load < 0 || r.Started.Load >= len(t.plan.Loads) || len(t.loads) >= len(t.plan.Loads) {
			return fmt.Errorf("no load %d was planned", r.Started.Load)
		}
		t.started(runningLoad{id: r.Started.ID, spec: t.plan.Loads[r.Started.Load].Spec})
	case r.Stuck != nil:
		if l := t.load(r.Stuck.ID); l != nil {
			t.stuckLoad(*l)
		}
	case r.Stopped != nil:
		if l := t.load(r.Stopped.ID); l != nil {
			l.final = *r.Stopped
			t.stopped(*l)
		}
	case r.Refused != nil:
		m, err := t.module(r.Refused.Patch)
		if err != nil {
			return err
		}
		t.refuse((&Refused{Module: m.Name, Errno: r.Refused.Errno, Words: kernelWords(t.guest.rec.since(t.mark))}).Error())
	case r.Followed != nil:
		return t.takeFollowed(r.Followed)
	case r.Unloaded != nil:
		m, err := t.module(r.Unloaded.Patch)
		if err != nil {
			return err
		}
		if r.Unloaded.Error != "" {
			t.find(observe.FoundLeak, "module %s (%.400s)", m.Name, r.Unloaded.Error)
		}
	case r.Over != nil:
		t.over = true
	}
	return nil
}

func (t *testimony) module(i int) (*patch.Module, error) {
	if i < 0 || i >= len(t.modules) {
		return nil, fmt.Errorf("no patch %d was planned", i)
	}
	return t.modules[i], nil
}

func (t *testimony) load(id int) *runningLoad {
	for i := range t.loads {
		if t.loads[i].id == id {
			return &t.loads[i]
		}
	}
	return nil
}

// readings are when a probe is read, as the evidence says it, and what is
// right then.
var readings = map[string]struct {
	when  string
	right func(patch.Probe, string) bool
}{
	mailbox.Before:  {"before the patch", patch.Probe.Old},
	mailbox.Patched: {"patched", patch.Probe.New},
	mailbox.After:   {"after the revert", patch.Probe.Old},
}

func (t *testimony) takeProbe(r *mailbox.Probe) error {
	reading, known := readings[r.When]
	if _, err := t.module(r.Patch); err != nil || !known {
		return fmt.Errorf("no probe %.40q of patch %d was planned", r.When, r.Patch)
	}
	for _, p := range t.Patches[r.Patch].Probes {
		switch {
		case p.Read != r.Path:
		case r.Error != "":
			t.went = fmt.Sprintf("read %s: %.400s", p.Read, r.Error)
			t.find(observe.FoundProbe, "%s: %s cannot be read: %.400s", reading.when, p.Read, r.Error)
		default:
			t.judgeProbe(p, reading.when, r.Text, reading.right)
		}
	}
	return nil
}

func (t *testimony) takeFollowed(r *mailbox.Followed) error {
	m, err := t.module(r.Patch)
	if err != nil {
		return err
	}
	// As of now: what comes later may turn this transition round.
	a := t.guest.applied(m, r.To)
	if a.Phase != nil { // else there is nothing that they could be in the way of
		a.Blockers = r.Blockers
	}
	switch {
	case r.To == observe.Apply && r.Patch == len(t.applied):
		t.applied = append(t.applied, &transition{module: m, apply: a})
	case r.To == observe.Revert && r.Patch < len(t.applied) && t.applied[r.Patch].revert == nil:
		t.applied[r.Patch].revert = a
	default:
		return fmt.Errorf("%.40q of patch %d out of turn", r.To, r.Patch)
	}
	t.noteFollowed(a)
	return nil
}
