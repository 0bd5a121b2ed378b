// SPDX-License-Identifier: Apache-2.0

package check

import (
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/kernels"
)

// Diagnosis says in words why a transition went as it did, and what to do.
type Diagnosis struct {
	// Rule is the name of the rule that found it, as "kthread-loop".
	Rule string `json:"rule"`
	// Class is the class of bugs that the rule is about, as numbered in
	// docs/diagnoses.md; 0 for what is none.
	Class int `json:"class,omitempty"`
	// Text is one or more sentences.
	Text string `json:"text"`
	// TIDs are the threads that it is about; none where it is about the
	// transition as a whole. The idle tasks all have 0.
	TIDs []int `json:"tids,omitempty"`
}

// Setting is what a diagnosis rests on besides the transition.
type Setting struct {
	// Can asks what the kernel can do; nil if nobody knows which it is.
	Can func(kernels.Capability) bool
	// Broken says, each in a sentence, what did not work while the transition
	// was under way.
	Broken []string
}

// knownLack says whether the kernel is known not to have c.
func (s Setting) knownLack(c kernels.Capability) bool { return s.Can != nil && !s.Can(c) }

func (s Setting) has(c kernels.Capability) bool { return s.Can != nil && s.Can(c) }

// suspect is one blocker as the rules see it.
type suspect struct {
	observe.Blocker
	phase *observe.Phase
	Setting
	// looks is how often it was examined, running how often it ran then.
	looks, running int
}

// group is the suspects of which one rule says one and the same thing.
type group struct {
	suspect // the first
	all     []suspect
}

// blockerRule explains tasks that are in the way.
type blockerRule struct {
	name  string
	class int
	holds func(suspect) bool
	text  func(group) string
}

// Diagnose explains the transition p, which may be nil for one that never
// began. blockers are those in its way when a stall was called. Of a task the
// first rule that holds speaks; tasks of which it would say the same are told
// of together.
func Diagnose(p *observe.Phase, blockers []observe.Blocker, setting Setting) (found []Diagnosis) {
	if p == nil {
		return nil
	}
	looks, running := map[int]int{}, map[int]int{}
	for _, e := range p.Examinations() {
		looks[e.Blocker.TID]++
		if e.Blocker.Reason == observe.Running {
			running[e.Blocker.TID]++
		}
	}
	groups := map[string]*group{}
	var order []string
	rules := map[string]blockerRule{}
	for _, b := range blockers {
		s := suspect{Blocker: b, phase: p, Setting: setting, looks: looks[b.TID] + 1, running: running[b.TID]}
		if b.Reason == observe.Running {
			s.running++
		}
		for _, r := range blockerRules {
			if !r.holds(s) {
				continue
			}
			key := strings.Join([]string{r.name, b.Kind, b.State, b.Function, b.Work, b.Frame}, "\x00")
			if groups[key] == nil {
				groups[key], rules[key] = &group{suspect: s}, r
				order = append(order, key)
			}
			groups[key].all = append(groups[key].all, s)
			break
		}
	}
	for _, key := range order {
		g, r := groups[key], rules[key]
		d := Diagnosis{Rule: r.name, Class: r.class, Text: r.text(*g)}
		for _, s := range g.all {
			d.TIDs = append(d.TIDs, s.TID)
		}
		found = append(found, d)
	}
	for _, r := range phaseRules {
		if text := r.text(p, blockers, setting); text != "" {
			found = append(found, Diagnosis{Rule: r.name, Class: r.class, Text: text})
		}
	}
	return found
}

// about says whether d tells of the thread.
func (d Diagnosis) about(b observe.Blocker) bool { return slices.Contains(d.TIDs, b.TID) }

// is says whether d was found by the rule called what, or has it in its words.
func (d Diagnosis) is(what string) bool { return d.Rule == what || strings.Contains(d.Text, what) }

// texts are the sentences.
func texts(all []Diagnosis) (out []string) {
	for _, d := range all {
		out = append(out, d.Text)
	}
	return out
}
