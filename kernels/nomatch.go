// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"fmt"
	"os"
	"slices"
	"strings"
)

// NoMatchError says that no kernel fits a selector. The command exits with
// status 2 on it.
type NoMatchError struct {
	// Selector is the item as the user wrote it.
	Selector string
	// Have are the releases that are at hand or to be had, newest first.
	Have []string
	// Nearest is the selector that was most probably meant, "" if none is near.
	Nearest string
	// Note says where else was asked, and why there was no answer; "" if
	// nowhere.
	Note string
	// File says that there is a file of that name, which a path would have
	// named.
	File bool
}

// maxNamed is how many releases an error message names: one of each series that
// Debian has.
const maxNamed = 12

func (e *NoMatchError) Error() string {
	var b strings.Builder
	if e.Selector == "all" || strings.HasPrefix(e.Selector, "all:") {
		fmt.Fprintf(&b, "no kernel is in the cache yet (%q means every kernel at hand)", e.Selector)
	} else {
		fmt.Fprintf(&b, "no kernel matches %q", e.Selector)
	}
	if len(e.Have) > 0 {
		named := e.Have
		if len(named) > maxNamed {
			named = named[:maxNamed]
		}
		fmt.Fprintf(&b, "; to be had: %s", strings.Join(named, ", "))
		if more := len(e.Have) - len(named); more > 0 {
			fmt.Fprintf(&b, " and %d more", more)
		}
	}
	if e.File {
		fmt.Fprintf(&b, "; if you mean the file of that name, write ./%s", e.Selector)
	} else if e.Nearest != "" {
		fmt.Fprintf(&b, "; did you mean %s? `switchyard kernels get %s` fetches it", e.Nearest, e.Nearest)
	}
	b.WriteString("; `switchyard kernels list` shows all")
	if e.Note != "" {
		fmt.Fprintf(&b, " (%s)", e.Note)
	}
	return b.String()
}

// noMatch makes the error for s out of what there is, newest first. The
// newest kernel of each series and flavour comes first in Have: a list of
// eight builds of one series helps nobody.
func noMatch(s Selector, have []Candidate) *NoMatchError {
	e := &NoMatchError{Selector: s.Text}
	seen := map[string]bool{}
	var rest, words []string
	for _, c := range have {
		flavoured := c.Flavour == DefaultFlavour || c.FromSource || c.Flavour == s.Flavour
		if key := Series(c.Version) + c.Flavour; flavoured && !seen[key] {
			seen[key] = true
			e.Have = append(e.Have, c.Release)
			words = append(words, Series(c.Version))
		} else {
			rest = append(rest, c.Release)
		}
	}
	e.Have = append(e.Have, rest...)
	words = append(words, e.Have...)
	if s.Kind == ByVersion {
		_, err := os.Stat(s.Text)
		e.File = err == nil
		e.Nearest = nearest(s.Pattern, slices.Compact(words))
	} else if len(words) > 0 {
		e.Nearest = words[0]
	}
	return e
}

// nearest is the word with the fewest edits from text, "" if more than half of
// text would have to change.
func nearest(text string, words []string) string {
	best, word := len(text)/2+1, ""
	for _, w := range words {
		if d := edits(text, w); d < best {
			best, word = d, w
		}
	}
	return word
}

// edits is the Levenshtein distance.
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
