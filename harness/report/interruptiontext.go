// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"time"
)

// Longest is the longest interruption in ns that the probe saw without the
// patch (in the baseline) and with it: while it was applied, there, and
// reverted. -1 where nothing is known.
func (i *Interruption) Longest() (without, with int64) {
	without, with = -1, -1
	if i == nil {
		return without, with
	}
	for _, w := range []*Window{i.Apply, i.Patched, i.Revert} {
		if w != nil && w.Count > 0 {
			with = max(with, w.MaxNS)
		}
	}
	if w := i.Baseline; w != nil && w.Count > 0 {
		without = w.MaxNS
	}
	return without, with
}

// interrupted is "7.9 ms, before 39 us".
func interrupted(i *Interruption) string {
	without, with := i.Longest()
	if without < 0 && with < 0 {
		return "-"
	}
	return fmt.Sprintf("%s, before %s", brief(with), brief(without))
}

// brief is a time to two or three digits; "?" for one that is not known.
func brief(ns int64) string {
	switch d := time.Duration(ns); {
	case ns < 0:
		return "?"
	case d < time.Millisecond:
		return fmt.Sprintf("%d us", d.Microseconds())
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.1f ms", float64(ns)/1e6)
	default:
		return seconds(ns)
	}
}
