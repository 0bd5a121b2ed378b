// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"fmt"
	"slices"

	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/report"
)

// measure reads what the instruments among the patches have measured by now.
// It is called before they go, and again when nobody calls their stubs any
// more: the last reading holds.
func (x *execution) measure(ctx context.Context) error {
	var all []report.Measured
	for _, t := range x.applied {
		if t.module.Manifest.Instrument == "" {
			continue
		}
		found, err := t.module.ReadMeasured(func(path string) ([]byte, error) { return x.guest.Client.ReadFile(ctx, path) })
		if err != nil {
			return x.guest.orDeath(err)
		}
		for _, f := range found {
			one := report.Measured{Object: f.Object, Name: f.Name, Sympos: f.Sympos, Calls: f.Calls}
			if f.Timed {
				one.Time = &report.MeasuredTime{Started: f.Started, TotalNS: int64(f.Total), MeanNS: int64(f.Mean()), LongestNS: int64(f.Longest)}
			}
			all = append(all, one)
		}
	}
	if len(all) > 0 {
		x.measured = true
		x.facts(map[string]any{"measured": all})
	}
	return nil
}

// instrumentsAlone refuses an instrument on a function that another patch of
// the stack has: its stub goes on in the kernel's own function, so it would
// take the patch out, and what it leaves on no stack would hide a task from
// the other's transition.
func (x *execution) instrumentsAlone() error {
	for i, m := range x.modules {
		if m.Manifest.Instrument == "" {
			continue
		}
		for j, other := range x.modules {
			for _, f := range other.Manifest.Functions {
				if i == j || !slices.ContainsFunc(m.Manifest.Functions, func(g patch.Function) bool { return g.Object == f.Object && g.Name == f.Name }) {
					continue
				}
				return &patch.InputError{Path: x.Patches[i].Path, Text: fmt.Sprintf("it measures %s, which %s of the same run has as well: its stub goes on in the kernel's own function and would take the other out; measure a function that calls it", f.Name, other.Name)}
			}
		}
	}
	return nil
}
