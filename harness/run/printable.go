// SPDX-License-Identifier: Apache-2.0

package run

import (
	"strings"
	"unicode"
)

// firstFolders are the first n elements of a slash-separated path.
func firstFolders(path string, n int) string {
	parts := strings.SplitN(path, "/", n+1)
	return strings.Join(parts[:min(n, len(parts))], "/")
}

// mostPrinted bounds what is shown of a stranger's text, in bytes.
const mostPrinted = 2000

// Printable is a stranger's text for a terminal: on one line, without anything
// that would draw, hide or turn round what stands there.
func Printable(text string) string {
	if len(text) > mostPrinted {
		text = strings.ToValidUTF8(text[:mostPrinted], "") + "…"
	}
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, text)
}
