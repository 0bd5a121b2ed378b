// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestFisher holds it to known tables, and to what must be so of any table.
func TestFisher(t *testing.T) {
	for _, c := range []struct {
		k, n, l, m int
		p          float64
	}{
		{3, 4, 1, 4, 0.4857142857},      // the lady tasting tea
		{1, 12, 11, 14, 0.000479203123}, // counted with integers, as the next
		{0, 20, 6, 20, 0.020196020196},
		{0, 6, 6, 6, 2.0 / 924}, // of choose(12, 6) tables the two farthest
		{5, 5, 7, 7, 1},
	} {
		require.InDelta(t, c.p, fisher(c.k, c.n, c.l, c.m), 1e-6, "%+v", c)
	}
	rapid.Check(t, func(t *rapid.T) {
		n, m := rapid.IntRange(1, 30).Draw(t, "n"), rapid.IntRange(1, 30).Draw(t, "m")
		k, l := rapid.IntRange(0, n).Draw(t, "k"), rapid.IntRange(0, m).Draw(t, "l")
		p := fisher(k, n, l, m)
		require.True(t, p > 0 && p <= 1)
		require.InDelta(t, p, fisher(l, m, k, n), 1e-9, "sides changed")
		require.InDelta(t, p, fisher(n-k, n, m-l, m), 1e-9, "counted the other way")
		require.GreaterOrEqual(t, p*(1+1e-9), leastP(n, m)/2, "none is surer than all against none")
		// Under equals, p is at most alpha with a probability of at most alpha.
		total, below := 0.0, 0.0
		for i := max(0, k+l-m); i <= min(n, k+l); i++ {
			w := math.Exp(choose(n, i) + choose(m, k+l-i) - choose(n+m, k+l))
			total += w
			if fisher(i, n, k+l-i, m) <= DefaultAlpha {
				below += w
			}
		}
		require.InDelta(t, 1, total, 1e-9)
		require.LessOrEqual(t, below, DefaultAlpha+1e-9)
	})
}

func choose(n, k int) float64 {
	ln := func(x int) float64 { v, _ := math.Lgamma(float64(x + 1)); return v }
	return ln(n) - ln(k) - ln(n-k)
}

// TestHolm: the correction is what the paper's definition says, for weights
// that differ too: a p is never corrected to less, and the surest stays the
// surest of its weight.
func TestHolm(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []*hypothesis
		for i := range rapid.IntRange(1, 12).Draw(t, "figures") {
			h := &hypothesis{name: fmt.Sprint(i), weight: rapid.SampledFrom([]float64{1, 0.5, 0.1}).Draw(t, "weight")}
			for range 8 {
				h.a = append(h.a, rapid.Float64Range(0, 1).Draw(t, "a"))
				h.b = append(h.b, rapid.Float64Range(0, 2).Draw(t, "b"))
			}
			all = append(all, h)
		}
		holm(all, DefaultAlpha)
		for _, h := range all {
			require.GreaterOrEqual(t, h.adjusted, h.p*(1-1e-12))
			require.LessOrEqual(t, h.adjusted, 1.0)
			for _, other := range all {
				if h.weight == other.weight && h.p < other.p {
					require.LessOrEqual(t, h.adjusted, other.adjusted)
				}
			}
		}
	})
}
