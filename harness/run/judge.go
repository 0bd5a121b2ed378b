// SPDX-License-Identifier: Apache-2.0

package run

import (
	"errors"
	"fmt"
	"slices"

	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/vm"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// judge turns the evidence into the verdict. err is what ended the run early.
func (x *execution) judge(err error) error {
	death, died := x.death(err)
	switch {
	case died:
		x.evidence.Death = death
	case err != nil:
		return err
	}
	if full := store.DiskFull(err, x.Dir); died && full != err {
		return full // the evidence is not whole
	}
	x.evidence.Reports = check.Reports(x.kernelLog())
	for _, t := range x.applied {
		x.evidence.Phases = append(x.evidence.Phases, phaseEvidence("apply", t.apply))
	}
	for _, t := range slices.Backward(x.applied) {
		if t.revert != nil {
			x.evidence.Phases = append(x.evidence.Phases, phaseEvidence("revert", t.revert))
		}
	}
	for _, e := range x.guest.timelineOf(observe.KindLost) {
		x.result.Warnings = append(x.result.Warnings, fmt.Sprintf("%d events of %s were lost in the guest: what they told is not in this verdict", e.Lost.N, e.Lost.Source))
	}
	// What an instrument measured shows that its stubs run.
	if !slices.ContainsFunc(x.Patches, func(src *patch.Source) bool { return len(src.Probes) > 0 }) && len(x.result.Measured) == 0 {
		x.result.Warnings = append(x.result.Warnings, "without a probes.json nothing shows from outside that the new code runs; see docs/writing-a-case.md")
	}
	verdict, reason := check.Judge(x.evidence)
	x.result.Verdict, x.result.Reason = string(verdict), reason
	return nil
}

// death finds the machine's end in err.
func (x *execution) death(err error) (vm.Death, bool) {
	var d vm.Death
	return d, errors.As(err, &d)
}

// kernelLog is what the kernel said: its log as the agent read it, and from a
// machine that died also what only the console still got.
func (x *execution) kernelLog() []string {
	var lines []string
	if x.guest != nil {
		lines = x.guest.KernelLog()
	}
	if d, died := x.death(x.evidence.Death); died && len(check.Reports(lines)) == 0 {
		lines = nil
		for _, l := range d.Seen().Console {
			lines = append(lines, l.Text)
		}
	}
	return lines
}

// timelineOf is the guest's events of one kind; none without a guest.
func (g *Guest) timelineOf(kind string) observe.Timeline {
	if g == nil {
		return nil
	}
	return g.Timeline().Kind(kind)
}

// phaseEvidence is what the judge needs of a transition.
func phaseEvidence(name string, a *Applied) check.Phase {
	p := check.Phase{Name: name, Started: a.Phase != nil, Done: a.Done()}
	if a.Phase != nil {
		p.Took, p.TasksLeft = a.Phase.Took(), a.Phase.Left()
	}
	for _, b := range a.Blockers {
		p.Blockers = append(p.Blockers, blockerText(b))
	}
	return p
}

// blockerText is "cat/97 (user task) asleep on patched hold_park".
func blockerText(b observe.Blocker) string {
	text := fmt.Sprintf("%s/%d (%s) %s", b.Comm, b.TID, b.Kind, b.Reason)
	if b.Function != "" {
		text += " " + b.Function
	}
	return text
}
