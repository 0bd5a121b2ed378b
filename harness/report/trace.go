// SPDX-License-Identifier: Apache-2.0

package report

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// TraceFile is a run's trace, in the run's folder.
const TraceFile = "trace.json"

// traceEvent is one event of the Trace Event Format, which ui.perfetto.dev and
// chrome://tracing open:
// https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU
type traceEvent struct {
	Name  string         `json:"name"`
	Phase string         `json:"ph"`
	TS    float64        `json:"ts"` // us
	Dur   *float64       `json:"dur,omitempty"`
	PID   int            `json:"pid"`
	TID   int            `json:"tid"`
	Scope string         `json:"s,omitempty"`
	Args  map[string]any `json:"args,omitempty"`
}

// The processes of a trace. Their clocks are brought together by the run's
// own offsets; each says by which clock it was stamped.
const (
	traceHost  = 1 // the harness and QEMU
	traceGuest = 2 // the core, the kernel's log, the loads
	traceTasks = 3 // those in the way, each with a track of its own
	traceLate  = 4 // who had to run and was late, a track for each witness and CPU
	traceTaken = 5 // what the host took from the guest, a track for each of QEMU's threads
)

// The tracks of the processes; those of traceTasks are thread ids.
const (
	trackSteps = iota + 1
	trackActions
	trackQEMU
	trackTransitions
	trackCore
	trackLog
	trackCalls
)

var traceTracks = []struct {
	pid, tid int
	name     string
}{
	{traceHost, trackSteps, "steps"}, {traceHost, trackActions, "actions"}, {traceHost, trackQEMU, "QEMU"},
	{traceGuest, trackTransitions, "transitions"}, {traceGuest, trackCore, "rounds and signals"}, {traceGuest, trackLog, "kernel log"}, {traceGuest, trackCalls, "calls of patched functions"},
}

// trace is a run's trace while it is made.
type trace struct {
	events []traceEvent
	offset int64 // the guest's clock minus the host's, ns
}

// WriteTrace writes the trace of the run whose logs are in dir. Errors: as
// FromLogs.
func WriteTrace(w io.Writer, dir string) error {
	l, err := readLogs(dir)
	if err != nil {
		return err
	}
	r, err := l.run()
	if err != nil {
		return err
	}
	var t trace
	t.begin(l.own, l.timeline)
	for _, n := range r.phases("") {
		t.transition(n)
	}
	t.late(l.timeline)
	t.taken(l.timeline)
	for _, e := range slices.Concat(l.own, l.timeline) {
		t.take(e)
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	return e.Encode(map[string]any{"displayTimeUnit": "ms", "traceEvents": t.events})
}

// begin names the tracks and finds how the clocks stand to each other.
func (t *trace) begin(own, timeline observe.Timeline) {
	for _, p := range []struct {
		pid  int
		name string
	}{{traceHost, "harness (" + observe.Host + ")"}, {traceGuest, "guest (" + observe.Guest + ")"}, {traceTasks, "tasks in the way (" + observe.Guest + ")"}, {traceLate, "interruption (" + observe.Guest + ")"}, {traceTaken, "what the host took (" + observe.Host + ")"}} {
		t.events = append(t.events, traceEvent{Name: "process_name", Phase: "M", PID: p.pid, Args: map[string]any{"name": p.name}})
	}
	for _, k := range traceTracks {
		t.events = append(t.events, traceEvent{Name: "thread_name", Phase: "M", PID: k.pid, TID: k.tid, Args: map[string]any{"name": k.name}})
	}
	for _, e := range timeline {
		if e.Offset != nil {
			t.offset = e.T - e.Offset.Host
			return
		}
	}
	// Nobody could ask (a deterministic run): both begin at the trace's start.
	if len(own) > 0 && len(timeline) > 0 {
		t.offset = timeline[0].T - own[0].T
	}
}

// at is a stamp in us of the host's clock.
func (t *trace) at(clock string, ns int64) float64 {
	if clock == observe.Guest {
		ns -= t.offset
	}
	return float64(ns) / 1e3
}

func (t *trace) add(e traceEvent) { t.events = append(t.events, e) }

// span is a duration on a track.
func (t *trace) span(name, clock string, from, to int64, pid, tid int, args map[string]any) {
	dur := float64(max(to-from, 0)) / 1e3
	t.add(traceEvent{Name: name, Phase: "X", TS: t.at(clock, from), Dur: &dur, PID: pid, TID: tid, Args: args})
}

// instant is a moment on a track.
func (t *trace) instant(name string, e observe.Event, pid, tid int, args map[string]any) {
	t.add(traceEvent{Name: name, Phase: "i", TS: t.at(e.Clock, e.T), PID: pid, TID: tid, Scope: "t", Args: args})
}

// edge begins or ends something on a track.
func (t *trace) edge(name, edge string, e observe.Event, tid int, args map[string]any) {
	phase := map[string]string{"begin": "B", "end": "E"}[edge]
	if phase == "" {
		t.instant(name, e, traceHost, tid, args)
		return
	}
	t.add(traceEvent{Name: name, Phase: phase, TS: t.at(e.Clock, e.T), PID: traceHost, TID: tid, Args: args})
}

func (t *trace) take(e observe.Event) {
	switch {
	case e.Step != nil:
		t.edge(e.Step.Name, e.Step.Edge, e, trackSteps, errorArgs(e.Step.Error))
	case e.Action != nil:
		t.edge(e.Action.Name+" "+e.Action.Detail, e.Action.Edge, e, trackActions, errorArgs(e.Action.Error))
	case e.Kind == observe.KindQMP:
		var event struct {
			Event string         `json:"event"`
			Data  map[string]any `json:"data"`
		}
		if json.Unmarshal(e.Raw, &event) == nil {
			t.instant(event.Event, e, traceHost, trackQEMU, event.Data)
		}
	case e.Death != nil:
		t.instant("death: "+e.Death.Cause, e, traceHost, trackQEMU, map[string]any{"text": e.Death.Text})
	case e.Round != nil:
		t.instant(fmt.Sprintf("round %d", e.Round.N), e, traceGuest, trackCore, nil)
	case e.Signal != nil:
		t.instant("signal", e, traceGuest, trackCore, map[string]any{"source": e.Signal.Source})
	case e.KernelLog != nil:
		t.instant(oneLine(e.KernelLog.Text), e, traceGuest, trackLog, map[string]any{"level": e.KernelLog.Level})
	case e.Sample != nil:
		t.counter("tasks left", e, float64(e.Sample.Left))
	case e.Load != nil && e.Clock == observe.Guest:
		t.load(e)
	case e.Call != nil:
		t.call(e)
	case e.Calls != nil:
		t.calls(e)
	}
}

func errorArgs(text string) map[string]any {
	if text == "" {
		return nil
	}
	return map[string]any{"error": text}
}

func (t *trace) counter(name string, e observe.Event, value float64) {
	t.add(traceEvent{Name: name, Phase: "C", TS: t.at(e.Clock, e.T), PID: traceGuest, Args: map[string]any{"value": value}})
}

// transition adds one and those in its way.
func (t *trace) transition(n named) {
	p := n.phase
	start := p.StartNS + p.TurnedNS
	end := p.StartNS + p.GuestNS
	t.span(strings.TrimSpace(p.Way+" "+n.patch), observe.Guest, start, end, traceGuest, trackTransitions, map[string]any{"done": p.Done, "tasks left": p.TasksLeft})
	for _, l := range p.Lanes {
		until := end
		if l.SwitchedNS != nil {
			until = p.StartNS + *l.SwitchedNS
		}
		t.events = append(t.events, traceEvent{Name: "thread_name", Phase: "M", PID: traceTasks, TID: l.PID, Args: map[string]any{"name": oneLine(l.Task)}})
		t.span("not switched ("+p.Way+")", observe.Guest, start, until, traceTasks, l.PID, map[string]any{"kind": l.Kind})
		for _, k := range l.Looks {
			var stack []string
			if k.Stack != nil && *k.Stack >= 0 && *k.Stack < len(p.Stacks) {
				stack = p.Stacks[*k.Stack]
			}
			t.instant(oneLine(k.words()), observe.Event{Clock: observe.Guest, T: p.StartNS + k.GuestNS}, traceTasks, l.PID, map[string]any{"stack": stack})
		}
	}
}
