// SPDX-License-Identifier: Apache-2.0

package compare

import "github.com/aclements/go-moremath/stats"

// fisher is the p of Fisher's exact test, two-sided: of k of n against l of m,
// the probability of all tables with the same margins that are as improbable
// as this one or more.
func fisher(k, n, l, m int) float64 {
	if n == 0 || m == 0 {
		return 1
	}
	// As many of the n as there are among n drawn of all.
	d := stats.HypergeometicDist{N: n + m, K: k + l, Draws: n}
	const rounding = 1 + 1e-7 // equal tables differ in their last bits
	lo, hi := d.Bounds()
	seen, p := d.PMF(float64(k))*rounding, 0.0
	for i := lo; i <= hi; i++ {
		if q := d.PMF(i); q <= seen {
			p += q
		}
	}
	return min(p, 1)
}
