// SPDX-License-Identifier: Apache-2.0

package selftests

import "github.com/switchyard-project/switchyard/kernels"

// skip is a script that says of itself that it cannot run on kernels which
// lack a capability.
type skip struct {
	script string
	lacks  kernels.Capability
	why    string
	source string // where this is known from
}

// skips is all that we know of scripts which skip themselves, one row each. Any
// other skip is not as expected, and so is a script that ran all the same: then
// the row is wrong.
var skips = []skip{}

// KnownSkip says whether script is known to skip itself on kit's kernel, and
// why.
func KnownSkip(kit *kernels.Kit, script string) (why string, known bool) {
	for _, s := range skips {
		if s.script == script && !kit.Can(s.lacks) {
			return s.why + " (" + s.source + ")", true
		}
	}
	return "", false
}
