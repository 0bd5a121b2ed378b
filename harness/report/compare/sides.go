// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/report"
)

// sidesOf are the sets of runs in a report, in its order.
func sidesOf(name string, r report.Report) []Side {
	var all []Side
	for _, run := range r.Runs {
		i := slices.IndexFunc(all, func(s Side) bool { return s.Patch == run.Patch.Name && s.Release == run.Kernel.Release })
		if i < 0 {
			i = len(all)
			all = append(all, Side{Name: name, Patch: run.Patch.Name, Release: run.Kernel.Release})
		}
		if run.Verdict == "" {
			all[i].Broken++
			continue
		}
		all[i].Runs++
		all[i].runs = append(all[i].runs, run)
	}
	return all
}

// pairUp says what is compared with what.
func pairUp(a, b []Side) ([][2]Side, error) {
	if len(a) == 1 && len(b) == 1 {
		return [][2]Side{{a[0], b[0]}}, nil
	}
	if len(a) == 0 || len(b) == 0 {
		return nil, &InputError{"one of the two has no run in it: there is nothing to compare"}
	}
	var pairs [][2]Side
	for _, one := range a {
		fits := func(s Side) bool { return s.Release == one.Release && s.Patch == one.Patch }
		if !slices.ContainsFunc(b, fits) {
			// Two versions of a patch have two names.
			fits = func(s Side) bool { return s.Release == one.Release }
			if n := count(a, fits); n != 1 || count(b, fits) != 1 {
				continue
			}
		}
		pairs = append(pairs, [2]Side{one, b[slices.IndexFunc(b, fits)]})
	}
	if len(pairs) == 0 {
		return nil, &InputError{fmt.Sprintf("there is no kernel of both: %s has %s, %s has %s", a[0].Name, list(a), b[0].Name, list(b))}
	}
	return pairs, nil
}

func count(all []Side, fits func(Side) bool) (n int) {
	for _, s := range all {
		if fits(s) {
			n++
		}
	}
	return n
}

func list(all []Side) string {
	var parts []string
	for _, s := range all {
		parts = append(parts, s.Patch+" on "+s.Release)
	}
	if len(parts) == 0 {
		return "none"
	}
	return strings.Join(parts, ", ")
}

// conditions are those of the machines that make times of the two sides
// incomparable, in words.
func conditions(a, b []report.Run) (apart []string) {
	for _, c := range []struct {
		what string
		of   func(report.Run) string
	}{
		{"accelerator", func(r report.Run) string { return r.Accel }},
		{"clock", func(r report.Run) string {
			if r.Deterministic != nil {
				return "virtual time"
			}
			return "the guest's own"
		}},
		{"vCPUs", func(r report.Run) string { return fmt.Sprint(r.Machine.VCPUs) }},
	} {
		ofA, ofB := values(a, c.of), values(b, c.of)
		if ofA != ofB && ofA != "" && ofB != "" {
			apart = append(apart, fmt.Sprintf("%s: A has %s, B %s", c.what, ofA, ofB))
		}
	}
	return apart
}

func values(runs []report.Run, of func(report.Run) string) string {
	var all []string
	for _, r := range runs {
		if v := of(r); v != "" && r.Booted() && !slices.Contains(all, v) {
			all = append(all, v)
		}
	}
	slices.Sort(all)
	return strings.Join(all, " and ")
}

// identical says whether each deterministic run of one side has one of the
// other that is the same to the byte.
func identical(a, b []report.Run) bool {
	sums := func(runs []report.Run) (all []string) {
		for _, r := range runs {
			if r.Deterministic == nil || r.Deterministic.TimelineSHA256 == "" {
				return nil
			}
			all = append(all, fmt.Sprint(r.Deterministic.Seed, " ", r.Deterministic.TimelineSHA256, " ", r.Verdict))
		}
		slices.Sort(all)
		return all
	}
	mine, others := sums(a), sums(b)
	return len(mine) > 0 && slices.Equal(mine, others)
}
