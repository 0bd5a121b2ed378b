// SPDX-License-Identifier: Apache-2.0

package observe

// A run has two logs in its folder. What the guest and its machine told is in
// TimelineFile, which a deterministic run repeats to the byte; what the harness
// did and found is in RunFile, which begins before there is a guest and is by
// the host's clock.
const (
	TimelineFile = "timeline.jsonl"
	RunFile      = "run.jsonl"
)

// The kinds of events in RunFile, besides deaths and QEMU's events.
const (
	KindFacts    = "facts"    // what the run is about, Raw: fields of a report's run
	KindStep     = "step"     // of the run's pipeline, Step
	KindFinding  = "finding"  // something that the verdict rests on, Finding
	KindFollowed = "followed" // a transition was followed to here, Followed
	KindStarted  = "started"  // a load was started, Load
	KindFinal    = "final"    // the last counters of a load, Load
	KindOver     = "over"     // the run's own end, Over
)

// Step is one step of a run's pipeline; Edge is "begin" or "end".
type Step struct {
	Name  string `json:"name"`
	Edge  string `json:"edge"`
	Error string `json:"error,omitempty"`
}

// What a Finding can be about.
const (
	FoundRefusal = "refusal" // the kernel did not take a module
	FoundProbe   = "probe"   // a probe saw what it should not have
	FoundLoad    = "load"    // so did a load
	FoundLeak    = "leak"    // something stayed after the revert
	FoundWarning = "warning" // what the verdict does not cover
)

// Finding is something that the harness found, in words.
type Finding struct {
	Of   string `json:"of"`
	Text string `json:"text"`
}

// Followed says that the harness looked at a transition, as of the first
// Events events of the timeline: to its end, or until it called a stall.
type Followed struct {
	Patch  string `json:"patch"`
	To     string `json:"to"`
	Events int    `json:"events"`
	// Blockers are those that were in the way when a stall was called.
	Blockers []Blocker `json:"blockers,omitempty"`
}

// Phase is the transition that was followed, as it was then; nil if none had
// begun.
func (f *Followed) Phase(t Timeline) *Phase {
	phases := t[:min(max(f.Events, 0), len(t))].Phases()
	for i := len(phases) - 1; i >= 0; i-- {
		if p := phases[i]; p.Patch == f.Patch && p.To == f.To {
			return p
		}
	}
	return nil
}

// Over is the end of a run. A run whose log has none was cut off.
type Over struct {
	// Error is what kept the run from a verdict.
	Error string `json:"error,omitempty"`
}
