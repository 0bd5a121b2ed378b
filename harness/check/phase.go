// SPDX-License-Identifier: Apache-2.0

package check

import (
	"fmt"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// PhaseOf is what a judge needs of a transition, nil if it never began, with
// those who were in its way when a stall was called.
func PhaseOf(name string, p *observe.Phase, blockers []observe.Blocker, setting Setting) Phase {
	out := Phase{Name: name, Started: p != nil}
	if p != nil {
		out.Done, out.Took, out.TasksLeft = p.Done(), p.Took(), p.Left()
		out.Diagnosis = Diagnose(p, blockers, setting)
	}
	for _, b := range blockers {
		out.Blockers = append(out.Blockers, blockerText(b))
	}
	return out
}

// blockerText is "cat/97 (user task) asleep on patched hold_park".
func blockerText(b observe.Blocker) string {
	text := fmt.Sprintf("%s/%d (%s) %s", b.Comm, b.TID, b.Kind, b.Reason)
	if b.Function != "" {
		text += " " + b.Function
	}
	return text
}
