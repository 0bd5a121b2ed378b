// SPDX-License-Identifier: Apache-2.0

package report

import "fmt"

// pageLoad is a load on the page.
type pageLoad struct {
	Path    string
	Name    figure
	Figures []figure
	Parts   []pagePart
	Wrong   figure
	Across  pagePlot
}

// pagePart is how long operations took in a part of the run.
type pagePart struct {
	When    string
	Figures []figure
}

func (l *Load) page(path string, phases []*Phase) (pageLoad, error) {
	across, err := l.across(phases).page()
	rate := func(name string, v float64) figure { return figure{path + name, v, fmt.Sprintf("%.1f", v)} }
	out := pageLoad{
		Path: path, Name: text(path+"/name", l.Name), Across: across,
		Figures: []figure{
			number(path+"/ops", l.Ops), number(path+"/errors", l.Errors),
			rate("/rate_before", l.RateBefore), rate("/rate_during", l.RateDuring), rate("/rate_after", l.RateAfter),
		},
	}
	if l.FirstError != "" {
		out.Wrong = text(path+"/first_error", l.FirstError)
	}
	if l.Latency == nil {
		return out, err
	}
	for _, part := range []struct {
		name string
		l    *Latency
	}{{"before", l.Latency.Before}, {"during", l.Latency.During}, {"after", l.Latency.After}} {
		if part.l == nil {
			continue
		}
		at := path + "/latency/" + part.name
		out.Parts = append(out.Parts, pagePart{part.name, []figure{
			number(at+"/count", part.l.Count), short(at+"/p50_ns", part.l.P50NS), short(at+"/p99_ns", part.l.P99NS), short(at+"/max_ns", part.l.MaxNS),
		}})
	}
	return out, err
}
