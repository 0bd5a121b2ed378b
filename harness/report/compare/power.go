// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"fmt"
	"math"
	"slices"

	"github.com/aclements/go-moremath/stats"
)

// power is how often a difference of the size that is told would be found.
const power = 0.8

// seen is how large a difference of the figure would have been found.
func (h *hypothesis) seen(n, m int) Seen {
	s := Seen{Figure: h.name, Unit: h.unit}
	if h.unit == UnitShare {
		s.Runs = seenRuns(n, m, h.level)
		return s
	}
	s.Shift = seenShift(h.a, h.b, h.level)
	return s
}

// seenRuns is in how many of m runs something must come that comes in none of
// n; nil if m are too few.
func seenRuns(n, m int, level float64) *int {
	for k := 1; k <= m; k++ {
		if fisher(0, n, k, m) <= level {
			return &k
		}
	}
	return nil
}

// seenShift is how far the values of b would have to be shifted against those
// of a; nil if the values are too few for the farthest. First in how many pairs
// b's must be the higher one: Noether, "Sample size determination for some
// common nonparametric tests", JASA 1987. Then what shift makes that of values
// that are spread as these.
func seenShift(a, b []float64, level float64) *float64 {
	n, m := float64(len(a)), float64(len(b))
	z := stats.StdNormal.InvCDF(1-level/2) + stats.StdNormal.InvCDF(power)
	pairs := 0.5 + z*math.Sqrt((n+m)/(12*n*m))
	if pairs > 1 || leastP(len(a), len(b)) > level {
		return nil
	}
	mid := median(b) - median(a)
	var apart []float64
	for _, x := range a {
		for _, y := range b {
			apart = append(apart, math.Abs(x-(y-mid)))
		}
	}
	slices.Sort(apart)
	// Half the distances are one way: b + shift > a in a part of `pairs`.
	shift := apart[min(len(apart)-1, int(math.Ceil((2*pairs-1)*float64(len(apart))))-1)]
	return &shift
}

func median(values []float64) float64 {
	s := stats.Sample{Xs: slices.Clone(values)}
	return s.Quantile(0.5)
}

// tooFew says in words that the runs are too few to tell something that was
// asked for; "" if they are enough. Only their number counts: that few of them
// have a figure is the verdicts' to tell.
func tooFew(a, b Side, all []*hypothesis) string {
	if len(all) == 0 {
		return fmt.Sprintf("there is nothing that both sides have to be compared: A has %d runs with a verdict and B %d", a.Runs, b.Runs)
	}
	// Who was in the way comes with the verdict, unless it is all that is asked.
	asked := slices.DeleteFunc(slices.Clone(all), func(h *hypothesis) bool { return h.unit == UnitShare && !h.verdict })
	if len(asked) == 0 {
		asked = all
	}
	strictest := slices.MinFunc(asked, func(x, y *hypothesis) int { return compareFloats(x.level, y.level) })
	if leastP(a.Runs, b.Runs) <= strictest.level {
		return ""
	}
	need := max(a.Runs, b.Runs)
	for leastP(need, need) > strictest.level {
		need++
	}
	return fmt.Sprintf("%d and %d runs are too few to find even the largest difference in %d figures: it takes %d each (-repeat %d), or fewer figures (-only)", a.Runs, b.Runs, len(all), need, need)
}
