// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"strconv"
	"strings"

	"pault.ag/go/debian/version"
)

// CompareVersions orders two package or kernel versions as dpkg does: "6.9"
// before "6.12", "6.12.1~rc1" before "6.12.1". Negative means a is older.
func CompareVersions(a, b string) int {
	va, errA := version.Parse(a)
	vb, errB := version.Parse(b)
	if errA != nil || errB != nil {
		return strings.Compare(a, b)
	}
	return version.Compare(va, vb)
}

// UpstreamVersion is the kernel.org part of a packaged version or of a
// release: "6.12.117-1" and "6.12.117+deb13-cloud-amd64" give "6.12.117".
func UpstreamVersion(text string) string {
	end := strings.IndexFunc(text, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if end >= 0 {
		text = text[:end]
	}
	return strings.TrimRight(text, ".")
}

// Series is the first two numbers of a version or release: "6.12.117-1" gives
// "6.12".
func Series(text string) string {
	parts := strings.SplitN(UpstreamVersion(text), ".", 3)
	if len(parts) > 2 {
		parts = parts[:2]
	}
	return strings.Join(parts, ".")
}

// atLeast says whether the version or release text is of series since
// ("6.12") or a later one. It looks at the first two numbers only: Debian's
// releases of 6.1 are all called 6.1.0.
func atLeast(text, since string) bool {
	a, b := numbers(Series(text)), numbers(since)
	return a[0] > b[0] || (a[0] == b[0] && a[1] >= b[1])
}

func numbers(series string) (n [2]int) {
	for i, part := range strings.SplitN(series, ".", 2) {
		n[i], _ = strconv.Atoi(part)
	}
	return n
}
