// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"math"
	"strconv"
)

// precise is a time to three digits, in the unit that suits it.
func precise(ns int64) string {
	for _, u := range []struct {
		name string
		size float64
	}{{"s", 1e9}, {"ms", 1e6}, {"us", 1e3}} {
		if n := float64(ns) / u.size; n >= 1 {
			return strconv.FormatFloat(n, 'f', max(0, 2-int(math.Log10(n))), 64) + " " + u.name
		}
	}
	return fmt.Sprintf("%d ns", ns)
}
