// SPDX-License-Identifier: Apache-2.0

package run

import "slices"

// ddmin gives a part of items for which still says yes and of which no single
// item can be left out, in their order; still has said yes to all of them.
// Zeller and Hildebrandt, "Simplifying and Isolating Failure-Inducing Input",
// IEEE TSE 28(2), 2002, with complements only: what is looked for is the least
// that does it, and whether a small part alone does is seldom worth a run.
func ddmin[T any](items []T, still func([]T) (bool, error)) ([]T, error) {
	if len(items) == 0 {
		return items, nil
	}
	if ok, err := still(nil); err != nil || ok {
		return nil, err
	}
	for n := 2; len(items) > 1; {
		n = min(n, len(items))
		smaller := false
		for i := range n {
			from, to := i*len(items)/n, (i+1)*len(items)/n
			rest := slices.Concat(items[:from], items[to:])
			ok, err := still(rest)
			if err != nil {
				return items, err
			}
			if ok {
				items, smaller = rest, true
				n = max(n-1, 2)
				break
			}
		}
		if !smaller {
			if n == len(items) {
				break
			}
			n *= 2
		}
	}
	return items, nil
}
