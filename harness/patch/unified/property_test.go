// SPDX-License-Identifier: Apache-2.0

package unified

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/switchyard-project/switchyard/harness/patch/refusal"
)

// edit replaces lines [from, to) by others.
type edit struct {
	from, to int
	text     []string
}

// drawEdits draws edits that are further apart than their contexts.
func drawEdits(t *rapid.T, lines, context int) (edits []edit) {
	at := rapid.IntRange(0, 5).Draw(t, "first")
	for n := 0; at < lines && n < 4; n++ {
		e := edit{from: at, to: min(lines, at+rapid.IntRange(0, 3).Draw(t, "removed"))}
		added := rapid.IntRange(0, 3).Draw(t, "added")
		if e.to == e.from && added == 0 {
			added = 1
		}
		for i := range added {
			e.text = append(e.text, fmt.Sprintf("new %d.%d\n", n, i))
		}
		edits = append(edits, e)
		at = e.to + 2*context + 1 + rapid.IntRange(0, 9).Draw(t, "gap")
	}
	return edits
}

// render writes the edits as a diff, and the text that they make of lines.
func render(lines []string, edits []edit, context int) (diff, after string) {
	var d, a strings.Builder
	d.WriteString("--- a/x.c\n+++ b/x.c\n")
	done, shift := 0, 0
	for _, e := range edits {
		begin, end := max(e.from-context, 0), min(e.to+context, len(lines))
		oldLines := end - begin
		newLines := oldLines - (e.to - e.from) + len(e.text)
		old, new := begin+1, begin+1+shift
		if oldLines == 0 {
			old--
		}
		if newLines == 0 {
			new--
		}
		fmt.Fprintf(&d, "@@ -%d,%d +%d,%d @@\n", old, oldLines, new, newLines)
		for _, l := range lines[begin:e.from] {
			d.WriteString(" " + l)
		}
		for _, l := range lines[e.from:e.to] {
			d.WriteString("-" + l)
		}
		for _, l := range e.text {
			d.WriteString("+" + l)
		}
		for _, l := range lines[e.to:end] {
			d.WriteString(" " + l)
		}
		a.WriteString(strings.Join(lines[done:e.from], "") + strings.Join(e.text, ""))
		done = e.to
		shift += newLines - oldLines
	}
	a.WriteString(strings.Join(lines[done:], ""))
	return d.String(), a.String()
}

// TestAnyDiff: a diff makes of its old text its new one, also below other
// lines, its reverse the old one again, and a second time it is told to be
// applied.
func TestAnyDiff(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var lines []string
		for i := range rapid.IntRange(10, 80).Draw(t, "lines") {
			lines = append(lines, fmt.Sprintf("line %d\n", i))
		}
		context := rapid.IntRange(1, 4).Draw(t, "context")
		diff, after := render(lines, drawEdits(t, len(lines), context), context)
		before := strings.Join(lines, "")
		d, err := Parse([]byte(diff))
		require.NoError(t, err, "%s", diff)

		r, err := d.Apply(source{"x.c": before}.read, 1)
		require.NoError(t, err, "%s", diff)
		require.Equal(t, after, string(r.Files[0].After))
		require.Empty(t, notes(r))
		kept := 0
		for i, line := range lines {
			if to, ok := r.Files[0].Moved(i + 1); ok {
				require.Equal(t, line, strings.SplitAfter(after, "\n")[to-1])
				kept++
			}
		}
		require.Equal(t, strings.Count(after, "line "), kept)

		back, err := d.Reverse().Apply(source{"x.c": after}.read, 1)
		require.NoError(t, err)
		require.Equal(t, before, string(back.Files[0].After))

		_, err = d.Apply(source{"x.c": after}.read, 1)
		var again *refusal.Refusal
		require.ErrorAs(t, err, &again)
		require.Equal(t, refusal.AlreadyApplied, again.Code)

		above := strings.Repeat("above\n", rapid.IntRange(1, 30).Draw(t, "above"))
		moved, err := d.Apply(source{"x.c": above + before}.read, 1)
		if strings.Contains(diff, "@@ -1,") || strings.Contains(diff, "@@ -0,") {
			return // it says that the file begins there
		}
		require.NoError(t, err)
		require.Equal(t, above+after, string(moved.Files[0].After))
		require.NotEmpty(t, notes(moved))
	})
}
