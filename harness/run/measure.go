// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"

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
	x.result.Measured = all
	return nil
}
