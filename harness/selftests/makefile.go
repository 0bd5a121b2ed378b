// SPDX-License-Identifier: Apache-2.0

package selftests

import (
	"regexp"
	"strings"
)

var (
	listLine = regexp.MustCompile(`^(TEST_[A-Z_]+)\s*(?::=|\+=|=)\s*(.*)$`)
	comment  = regexp.MustCompile(`#.*`)
)

// parseLists reads the lists of files in a selftest's Makefile, by name
// (Documentation/dev-tools/kselftest.rst: TEST_PROGS are run, the others lie
// beside them). They are plain lists in every kernel there is; make itself
// would want the lib.mk that includes half of the tree.
func parseLists(makefile string) map[string][]string {
	lists := map[string][]string{}
	for line := range strings.Lines(strings.ReplaceAll(makefile, "\\\n", " ")) {
		m := listLine.FindStringSubmatch(strings.TrimSpace(comment.ReplaceAllString(line, "")))
		if m != nil {
			lists[m[1]] = append(lists[m[1]], strings.Fields(m[2])...)
		}
	}
	return lists
}
