// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// pageCalls are the calls of patched functions on the page.
type pageCalls struct {
	Rows        []row
	Void        string
	Unexercised []figure
	Functions   []pageCalled
	Late        [][]figure
}

type pageCalled struct {
	Name     []figure // object, function
	Figures  []figure
	LastOld  string // when, in words
	Versions []row
	Contexts []row
	Callers  []pageCaller
	Unseen   string
}

type pageCaller struct{ Function, N figure }

func (c *Calls) page(path string, phases []*Phase) *pageCalls {
	if c == nil {
		return nil
	}
	path += "/calls"
	out := &pageCalls{Void: oneLine(c.Void), Rows: []row{
		{"calls of old functions", []figure{number(path+"/old", c.Old)}},
		{"calls of new functions", []figure{number(path+"/new", c.New)}},
		{"lost events", []figure{number(path+"/lost", c.Lost)}},
		{"events read, and the CPU time that took", []figure{number(path+"/cost/events", c.Cost.Events), short(path+"/cost/cpu_ns", c.Cost.CPUNS)}},
	}}
	if c.Consistency != nil {
		out.Rows = append(out.Rows, row{"consistency that the calls allow: leave, switch", []figure{text(path+"/consistency/leave", c.Consistency.Leave), text(path+"/consistency/switch", c.Consistency.Switch)}})
	}
	for i, name := range c.Unexercised {
		out.Unexercised = append(out.Unexercised, text(fmt.Sprintf("%s/unexercised/%d", path, i), name))
	}
	for i := range c.Functions {
		out.Functions = append(out.Functions, c.Functions[i].page(fmt.Sprintf("%s/functions/%d", path, i), phases))
	}
	for i, l := range c.Late {
		at := fmt.Sprintf("%s/late/%d", path, i)
		out.Late = append(out.Late, []figure{
			text(at+"/function", l.Function), text(at+"/version", l.Version), text(at+"/caller", l.Caller), text(at+"/context", l.Context),
			text(at+"/task", l.Task), number(at+"/pid", l.PID), stamp(at+"/guest_ns", l.GuestNS),
		})
	}
	return out
}

func (f *CalledFunction) page(path string, phases []*Phase) pageCalled {
	out := pageCalled{
		Name: []figure{text(path+"/object", f.Object), text(path+"/name", f.Name)}, Unseen: oneLine(f.Unseen),
		Figures: []figure{number(path+"/old", f.Old), number(path+"/new", f.New), number(path+"/after_completion", f.AfterCompletion), stamp(path+"/last_old_ns", f.LastOldNS)},
		LastOld: sinceEdge(f.LastOldNS, phases),
	}
	for _, version := range slices.Sorted(maps.Keys(f.Versions)) {
		out.Versions = append(out.Versions, row{oneLine(version), []figure{number(path+"/versions/"+pointer(version), f.Versions[version])}})
	}
	for _, context := range slices.Sorted(maps.Keys(f.Contexts)) {
		out.Contexts = append(out.Contexts, row{oneLine(context), []figure{number(path+"/contexts/"+pointer(context), f.Contexts[context])}})
	}
	for i, c := range f.Callers {
		at := fmt.Sprintf("%s/callers/%d", path, i)
		out.Callers = append(out.Callers, pageCaller{text(at+"/function", c.Function), number(at+"/n", c.N)})
	}
	return out
}

// sinceEdge says when a moment was by the transition that began last before
// it; "" for never.
func sinceEdge(ns int64, phases []*Phase) string {
	words := ""
	for _, p := range phases {
		if begins := p.StartNS + p.TurnedNS; ns >= begins && ns != 0 {
			words = fmt.Sprintf("%s after the %s began", precise(ns-begins), p.Way)
			if ends := p.StartNS + p.GuestNS; p.Done && ns > ends {
				words = fmt.Sprintf("%s after the %s ended", precise(ns-ends), p.Way)
			}
		}
	}
	return words
}

// stamp is a moment by the guest's clock, to the microsecond; 0 is never.
func stamp(path string, ns int64) figure {
	if ns == 0 {
		return figure{path, ns, "-"}
	}
	return figure{path, ns, fmt.Sprintf("%.6f s", inSeconds(ns))}
}

// pointer is a name as a step of a JSON pointer (RFC 6901).
func pointer(name string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(name) }
