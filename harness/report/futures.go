// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"io"
	"strings"
)

// Future is one thing that might have freed a transition that stalled, as it
// went in a fork of that moment.
type Future struct {
	Name  string `json:"name"`
	Freed bool   `json:"freed"`
	// GuestNS is the guest time from the stall to the transition's end, or to
	// when it was given up.
	GuestNS int64 `json:"guest_ns"`
	// Verdict is what the fork showed: "complete", "stalled", "crashed" or
	// "lost"; "" where it was not tried to the end.
	Verdict  string    `json:"verdict"`
	Reason   string    `json:"reason,omitempty"`
	Note     string    `json:"note,omitempty"` // what its name and verdict do not say
	Blockers []Blocker `json:"blockers"`       // still in the way
}

// writeFutures writes what would have freed a stall; nothing if nobody asked.
func (r Run) writeFutures(w io.Writer) {
	if r.Futures == nil {
		return
	}
	if len(r.Futures) == 0 {
		fmt.Fprintf(w, "\n%s: no transition stalled, so no future was tried\n", r.Kernel.Release)
		return
	}
	fmt.Fprintf(w, "\n%s: what would have freed it, each in a fork of the stall:\n", r.Kernel.Release)
	width := 0
	for _, f := range r.Futures {
		width = max(width, len(f.Name))
	}
	for _, f := range r.Futures {
		fmt.Fprintf(w, "  %-*s  %s\n", width, oneLine(f.Name), oneLine(f.outcome()))
	}
}

// outcome is "freed after 12 ms" or "not freed after 3.00 s: …".
func (f Future) outcome() string {
	var text string
	switch {
	case f.Verdict == "" && !f.Freed && f.GuestNS == 0:
		return f.Reason
	case f.Freed:
		text = "freed after " + seconds(f.GuestNS)
	default:
		text = "not freed after " + seconds(f.GuestNS)
	}
	switch {
	case f.Verdict == "stalled" && len(f.Blockers) > 0:
		text += ": " + f.inTheWay()
	case f.Verdict == "crashed", f.Verdict == "lost":
		text += ", " + f.Verdict + ": " + f.Reason
	case f.Reason != "":
		text += ": " + f.Reason
	}
	if f.Note != "" {
		text += " (" + f.Note + ")"
	}
	return text
}

// inTheWay is "cat/97 asleep on patched hold_park and 2 more".
func (f Future) inTheWay() string {
	// Who sleeps elsewhere may only wait for the core's next look.
	first := f.Blockers[0]
	for _, b := range f.Blockers {
		if b.Reason == "asleep on patched" {
			first = b
			break
		}
	}
	text := strings.TrimSpace(fmt.Sprintf("%s/%d (%s) %s %s", first.Task, first.PID, first.Kind, first.Reason, first.Function))
	if n := len(f.Blockers) - 1; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}
