// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"strings"
)

// pageBlockers are those in the way when a stall was called.
type pageBlockers struct {
	Diagnosis []figure
	Shown     []pageBlocker
	Omitted   int // in report.json alone
}

type pageBlocker struct {
	Task, PID, Kind, Reason, Function figure
	Work, Frame, Differ, Why          *figure
	CPU                               figure
	Rounds, First, Last               figure
	Witnesses                         []figure
	Stack                             []string
}

func (r *Run) pageBlockers(path string) *pageBlockers {
	if len(r.Blockers)+len(r.Diagnosis) == 0 {
		return nil
	}
	out := &pageBlockers{Omitted: max(0, len(r.Blockers)-mostShown)}
	for i, d := range r.Diagnosis[:min(len(r.Diagnosis), mostShown)] {
		out.Diagnosis = append(out.Diagnosis, text(fmt.Sprintf("%s/diagnosis/%d", path, i), d))
	}
	told := strings.Join(r.Diagnosis, "\n")
	for i, b := range r.Blockers[:min(len(r.Blockers), mostShown)] {
		at := fmt.Sprintf("%s/blockers/%d", path, i)
		one := pageBlocker{
			Task: text(at+"/task", b.Task), PID: number(at+"/pid", b.PID), Kind: text(at+"/kind", b.Kind), Reason: text(at+"/reason", b.Reason), Function: text(at+"/function", b.Function),
			CPU: number(at+"/cpu", b.CPU), Rounds: number(at+"/rounds", b.Rounds), First: duration(at+"/first_ns", b.FirstNS), Last: duration(at+"/last_ns", b.LastNS),
			Work: some(at+"/work", b.Work), Frame: some(at+"/frame", b.Frame), Differ: some(at+"/differ", b.Differ), Stack: oneLines(b.Stack),
		}
		if !strings.Contains(told, b.Diagnosis) {
			one.Why = some(at+"/diagnosis", b.Diagnosis)
		}
		for j, w := range b.Witnesses {
			one.Witnesses = append(one.Witnesses, text(fmt.Sprintf("%s/witnesses/%d", at, j), w))
		}
		out.Shown = append(out.Shown, one)
	}
	return out
}

// some is a text that there may not be.
func some(path, s string) *figure {
	if s == "" {
		return nil
	}
	f := text(path, s)
	return &f
}

// reasonAlone is the reason without the diagnosis, which stands by itself.
func (r *Run) reasonAlone() string {
	reason := r.Reason
	for _, d := range r.Diagnosis {
		reason = strings.Replace(reason, ". "+d, "", 1)
	}
	return oneLine(reason)
}
