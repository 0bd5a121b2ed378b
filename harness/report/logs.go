// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/harness/observe"
)

// FromLogs computes the report of the run whose logs are in dir: the only way
// a run's report comes about, while it ends as well as long after. Of a run
// that was cut off, or whose logs are torn, it is what was seen until then. The
// error is a *FormatError for a folder without a run's logs, or with logs that
// are something else.
func FromLogs(dir string) (Run, error) {
	l, err := readLogs(dir)
	if err != nil {
		return Run{}, err
	}
	return l.run()
}

// errNothing is of a run whose own log has no whole line, as of one whose
// machine lost its power, or whose disk was full, when it began.
var errNothing = errors.New("it is empty: the run ended before it began")

// logs are the two of a run; see package observe.
type logs struct {
	dir           string
	own, timeline observe.Timeline
	torn          []error
}

func readLogs(dir string) (*logs, error) {
	l := &logs{dir: dir}
	var err error
	if l.own, err = readLog(filepath.Join(dir, observe.RunFile), &l.torn); err != nil {
		return nil, err
	}
	if len(l.own) == 0 {
		return nil, &FormatError{filepath.Join(dir, observe.RunFile), errNothing}
	}
	l.timeline, err = readLog(filepath.Join(dir, observe.TimelineFile), &l.torn)
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // of a run that got no guest there is none
		return nil, err
	}
	return l, nil
}

// run is the report of the run.
func (l *logs) run() (Run, error) {
	h := history{
		run: Run{Engine: "native", Patch: Patch{Functions: []Function{}}}, final: map[int]observe.Load{},
		facts: map[string]json.RawMessage{}, timeline: l.timeline, torn: l.torn,
	}
	var err error
	for _, e := range l.own {
		if err == nil {
			err = h.take(e)
		}
	}
	if err == nil {
		err = h.takeFacts()
	}
	if err != nil {
		return h.run, &FormatError{filepath.Join(l.dir, observe.RunFile), err}
	}
	return h.report(l.own), nil
}

// readLog reads a log, also one that is torn, which torn then notes.
func readLog(path string, torn *[]error) (observe.Timeline, error) {
	events, err := observe.Read(path)
	var cut *observe.TornError
	switch {
	case errors.As(err, &cut):
		*torn = append(*torn, cut)
	case err != nil:
		return nil, &FormatError{path, err}
	}
	return events, nil
}

// history is a run while it is read from its logs.
type history struct {
	run      Run
	facts    map[string]json.RawMessage // fields of run
	timeline observe.Timeline
	torn     []error

	evidence check.Evidence
	warnings []string
	started  []observe.Load
	final    map[int]observe.Load
	follows  []*observe.Followed
	applied  []*followed
	over     *observe.Over
	step     *observe.Event // the one under way
	death    *observe.Death
}

// followed is one patch of the stack and both its ways.
type followed struct {
	patch         string
	apply, revert *way
}

// way is one transition; its phase is nil if it never began.
type way struct {
	phase     *observe.Phase
	blockers  []observe.Blocker
	diagnosis []check.Diagnosis
}

func (w *way) report(patched []Function) *Phase {
	if w == nil {
		return nil
	}
	return phaseOf(w.phase, w.blockers, patched)
}

func (h *history) take(e observe.Event) error {
	switch {
	case e.Kind == observe.KindFacts:
		var fields map[string]json.RawMessage
		if err := json.Unmarshal(e.Raw, &fields); err != nil {
			return fmt.Errorf("what it says of the run is not as this program knows it: %w", err)
		}
		maps.Copy(h.facts, fields) // the later holds, as a whole
	case e.Step != nil:
		h.takeStep(e)
	case e.Finding != nil:
		h.takeFinding(*e.Finding)
	case e.Followed != nil:
		h.follows = append(h.follows, e.Followed)
	case e.Kind == observe.KindStarted && e.Load != nil:
		h.started = append(h.started, *e.Load)
	case e.Kind == observe.KindFinal && e.Load != nil:
		h.final[e.Load.ID] = *e.Load
	case e.Death != nil:
		h.death = e.Death
	case e.Over != nil:
		h.over = e.Over
	}
	return nil
}

// takeFacts puts the facts into the run.
func (h *history) takeFacts() error {
	text, err := json.Marshal(h.facts)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&h.run); err != nil {
		return fmt.Errorf("what it says of the run is not as this program knows it: %w", err)
	}
	return nil
}

func (h *history) takeStep(e observe.Event) {
	if e.Step.Edge == "begin" {
		h.step = &e
		return
	}
	s := Step{Name: e.Step.Name, Error: e.Step.Error}
	if h.step != nil {
		s.WallNS = e.T - h.step.T
	}
	h.run.Steps, h.step = append(h.run.Steps, s), nil
}

func (h *history) takeFinding(f observe.Finding) {
	switch f.Of {
	case observe.FoundRefusal:
		h.evidence.Refusal = f.Text
	case observe.FoundProbe:
		h.evidence.WrongProbes = append(h.evidence.WrongProbes, f.Text)
	case observe.FoundLoad:
		h.evidence.WrongLoads = append(h.evidence.WrongLoads, f.Text)
	case observe.FoundLeak:
		h.evidence.Leaks = append(h.evidence.Leaks, f.Text)
	case observe.FoundWarning:
		h.warnings = append(h.warnings, f.Text)
	}
}

// put sets one way of a patch.
func (h *history) put(patch, to string, w *way) {
	i := slices.IndexFunc(h.applied, func(f *followed) bool { return f.patch == patch })
	if i < 0 {
		i = len(h.applied)
		h.applied = append(h.applied, &followed{patch: patch})
	}
	if to == observe.Revert {
		h.applied[i].revert = w
	} else {
		h.applied[i].apply = w
	}
}

// unfollowed puts in the transitions that nobody got to follow to an end, as
// the run was over before.
func (h *history) unfollowed() {
	for _, p := range h.timeline.Phases() {
		i := slices.IndexFunc(h.applied, func(f *followed) bool { return f.patch == p.Patch })
		if i >= 0 && (p.To == observe.Apply && h.applied[i].apply != nil || p.To == observe.Revert && h.applied[i].revert != nil) {
			continue
		}
		blockers := remembered(p)
		if blockers == nil {
			blockers = lastSeen(p)
		}
		h.put(p.Patch, p.To, h.wayOf(p, blockers, len(h.timeline)))
	}
}

// report computes what follows from what was read.
func (h *history) report(own observe.Timeline) Run {
	r := &h.run
	r.ElapsedNS = own[len(own)-1].T - own[0].T
	h.takeFollowed()
	log := h.kernelLog()
	h.evidence.Reports = check.Reports(log)
	r.Calls = CallsOf(h.timeline)
	h.evidence.LateCalls = r.Calls.Wrong()
	r.Warnings = slices.Concat(h.lost(), r.Calls.warnings(), h.warnings)
	r.Observer = observerOf(h.timeline)
	if text := r.Observer.warning(r.Accel); text != "" {
		r.Warnings = append(r.Warnings, text)
	}
	switch {
	case h.over == nil:
		h.cutOff()
	case h.over.Error == "" && h.gap() != "":
		r.CutOff, r.Reason = h.gap(), h.gap()
		h.unfollowed()
	case h.over.Error == "":
		if h.death != nil {
			h.evidence.Death = errors.New(h.death.Text)
		}
		verdict, reason := check.Judge(h.evidence)
		r.Verdict, r.Reason = string(verdict), reason
	default:
		r.Reason = h.over.Error
		if r.Refused() { // before there was a guest
			r.Verdict = string(check.VerdictRefused)
		}
	}
	if h.over == nil || h.over.Error != "" || h.death != nil {
		h.unfollowed()
	}
	for _, rep := range h.evidence.Reports {
		r.LogReports = append(r.LogReports, LogReport{Kind: rep.Kind, Title: rep.Title, Text: rep.Text})
	}
	h.fillTransitions()
	if r.Verdict == string(check.VerdictLost) {
		r.Reason += silentReason(r.Blockers)
	}
	h.fillLog()
	var of []string
	r.Interruption, of = InterruptionOf(h.timeline, r.Accel, r.Deterministic != nil)
	if r.Interruption != nil && r.Calls != nil && r.Calls.Cost.Events > 0 {
		r.Interruption.Noise = strings.TrimPrefix(r.Interruption.Noise+"; "+tracedMeanwhile, "; ")
	}
	r.Warnings = append(r.Warnings, of...)
	return *r
}

// tracedMeanwhile is what the one observation does to the other. Measured on
// 6.1, emulated, by virtual time: 50 ms, and without the tracing 17.
const tracedMeanwhile = "the calls of the patched functions were traced meanwhile, for which the kernel goes over its fentry sites once more while the module is inserted: apply is longer for it, and with -calls=false it is not"

// cutOff says of a run without an end where it was.
func (h *history) cutOff() {
	r := &h.run
	where := "between two steps"
	if h.step != nil {
		where = fmt.Sprintf("in step %q", h.step.Step.Name)
	}
	r.CutOff = fmt.Sprintf("the run was cut off %s, %.1f s after it began; what it had seen until then is here", where, time.Duration(r.ElapsedNS).Seconds())
	r.Reason = r.CutOff
	for _, t := range h.torn {
		r.Warnings = append(r.Warnings, t.Error())
	}
}

// gap says what of the timeline is missing that a verdict would have to rest
// on; "" for nothing. The run itself ended well, so this happened to its folder
// later.
func (h *history) gap() string {
	for _, t := range h.torn {
		return t.Error() + ", and without the rest there is no verdict"
	}
	for _, f := range h.follows {
		if n := len(h.timeline); n < f.Events {
			return fmt.Sprintf("the timeline holds %d events, and the run had seen %d or more: without the rest there is no verdict", n, f.Events)
		}
	}
	return ""
}

// lost tells of the events that are not here.
func (h *history) lost() (warnings []string) {
	for _, e := range h.timeline {
		if e.Lost != nil && e.Lost.Source != observe.LostCalls { // those void themselves
			n := "some"
			if e.Lost.N > 0 {
				n = fmt.Sprint(e.Lost.N)
			}
			warnings = append(warnings, fmt.Sprintf("%s events of %s were lost in the guest: what they told is not in this verdict", n, e.Lost.Source))
		}
	}
	return warnings
}

// kernelLog is what the kernel said: its log as the agent read it, and from a
// machine that died also what only the console still got.
func (h *history) kernelLog() (lines []string) {
	for _, e := range h.timeline {
		if e.KernelLog != nil && e.KernelLog.Facility == 0 {
			lines = append(lines, e.KernelLog.Text)
		}
	}
	if h.death != nil && len(check.Reports(lines)) == 0 {
		lines = h.death.Console
	}
	return lines
}

func (h *history) fillTransitions() {
	r := &h.run
	var first *observe.Phase
	var until int64
	patched := r.Patch.Functions
	for i, f := range h.applied {
		if i == len(h.applied)-1 {
			r.Transition.Apply, r.Transition.Revert = f.apply.report(patched), f.revert.report(patched)
		}
		if len(h.applied) > 1 {
			r.Stack = append(r.Stack, Stacked{Name: f.patch, Apply: f.apply.report(patched), Revert: f.revert.report(patched)})
		}
		for _, w := range []*way{f.apply, f.revert} {
			if w != nil {
				r.Blockers = append(r.Blockers, blockersOf(w.phase, w.blockers, w.diagnosis)...)
				for _, d := range w.diagnosis {
					r.Diagnosis = append(r.Diagnosis, d.Text)
				}
			}
		}
		if i == 0 && f.apply != nil {
			first = f.apply.phase
			if f.revert != nil && f.revert.phase != nil {
				until = f.revert.phase.Start
			}
		}
	}
	r.Load = loadsOf(h.started, h.final, h.timeline, first, until)
}

// mostLogLines bounds the kernel's log in a report.
const mostLogLines = 2000

// fillLog takes the kernel's log from the first thing that was done to the
// guest on: what it said while it booted is in timeline.jsonl.
func (h *history) fillLog() {
	r := &h.run
	from := max(0, slices.IndexFunc(h.timeline, func(e observe.Event) bool { return e.Action != nil }))
	for _, e := range h.timeline[from:] {
		if e.KernelLog != nil {
			r.KernelLog = append(r.KernelLog, LogLine{GuestNS: e.T, Level: e.KernelLog.Level, Text: e.KernelLog.Text})
		}
	}
	if n := len(r.KernelLog) - mostLogLines; n > 0 {
		// The core's debug messages can be a line for each task in each round: they
		// must not push out what else was said.
		drop := n
		kept := slices.DeleteFunc(r.KernelLog, func(l LogLine) bool {
			goes := drop > 0 && l.Level == debugLevel && strings.HasPrefix(l.Text, "livepatch: klp_")
			if goes {
				drop--
			}
			return goes
		})
		r.KernelLog, r.KernelLogOmitted = kept[drop:], n
	}
}

// debugLevel is the level of the kernel's debug messages.
const debugLevel = 7
