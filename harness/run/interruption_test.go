// SPDX-License-Identifier: Apache-2.0

package run

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/report"
)

const ms = int64(1e6)

// deafMS is how long cases/testdata/deaf keeps interrupts from CPU 0.
const deafMS = 30

// TestKnownInterruption: by virtual time both witnesses see an interruption of
// a known length, where it was and nowhere else, and a seed repeats the figures
// to the byte.
func TestKnownInterruption(t *testing.T) {
	for _, version := range versions {
		t.Run(version, func(t *testing.T) {
			y := testYard(t)
			p := testPlan(t, y, version, "deaf", "proc-readers")
			p.Interruption, p.Calls = true, false
			r, one := deterministic(t, y, p, 5)
			require.Equal(t, "complete", r.Verdict, r.Reason)
			i := r.Interruption
			require.NotNil(t, i)
			require.True(t, i.Virtual)
			require.Empty(t, i.Noise)
			require.Nil(t, i.Clock)
			require.NotNil(t, i.Witness)
			require.Empty(t, i.Witness.Baseline.Starved)
			for who, w := range map[string]*report.Windows{"probe": &i.Windows, "timer": i.Witness} {
				for _, name := range []string{report.WindowBaseline, report.WindowApply, report.WindowPatched, report.WindowRevert, report.WindowAfter} {
					require.NotNil(t, w.Named(name), "%s in %s", who, name)
					t.Logf("%s in %s: %+v", who, name, w.Named(name).Lateness)
				}
				require.GreaterOrEqual(t, w.Apply.MaxNS, deafMS*ms-ms, "%s: it may have begun up to a period before a deadline", who)
				// A task waits for all that insmod does besides (on 6.12 the
				// kernel's code is poked, 40 ms), an interrupt does not.
				most := map[string]int64{"probe": 4 * deafMS * ms, "timer": 2 * deafMS * ms}[who]
				require.Less(t, w.Apply.MaxNS, most, who)
				require.GreaterOrEqual(t, w.Apply.Missed, int64(deafMS-2), who)
				require.Less(t, w.Baseline.MaxNS*10, w.Apply.MaxNS, who)
				require.Less(t, w.Patched.MaxNS*2, w.Apply.MaxNS, who)
				// Every deadline is told of, by the length of the window.
				span := (w.Baseline.ToNS - w.Baseline.FromNS) / i.PeriodNS
				require.InDelta(t, span, w.Baseline.Count, 2, who)
				require.Equal(t, w.Baseline.Count, w.Baseline.Histogram.Count(), who)
				require.Zero(t, w.Apply.VoidCount)
			}
			// An interrupt waits for interrupts, a task for what else runs before it.
			require.LessOrEqual(t, i.Witness.Baseline.P50NS, i.Baseline.P50NS)

			again, two := deterministic(t, y, p, 5)
			require.Equal(t, i, again.Interruption)
			if one != two {
				t.Errorf("two timelines: %s", firstDifference(one, two))
			}
		})
	}
}
