// SPDX-License-Identifier: Apache-2.0

package unified

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/bluekeyes/go-gitdiff/gitdiff"

	"github.com/switchyard-project/switchyard/harness/patch/refusal"
)

// mostFuzz is how many lines of context at each end of a hunk need not fit,
// as with patch(1).
const mostFuzz = 2

// placeAll places the hunks in order, each at the nearest line to where the
// diff has it, each with the least fuzz up to most. moved has for each line
// the one that it becomes, 0 for one that goes. The error is a *failedHunk.
func placeAll(text []byte, hunks []*gitdiff.TextFragment, most int) (after []byte, placed []Placed, moved []int, err error) {
	lines := splitLines(text)
	moved = make([]int, len(lines))
	var out [][]byte
	keep := func(from, to int) {
		for i := from; i < to; i++ {
			out = append(out, lines[i])
			moved[i] = len(out)
		}
	}
	done, drift := 0, 0 // lines behind us; offset of the last hunk
	for i, h := range hunks {
		old := oldLines(h)
		p, ok := Placed{}, false
		for fuzz := 0; fuzz <= most && !ok; fuzz++ {
			p, ok = place(lines, h, old, done, drift, fuzz)
		}
		if !ok {
			return nil, nil, nil, &failedHunk{number: i + 1, of: len(hunks), hunk: h, lines: lines, old: old, from: done}
		}
		head, tail := trims(h, p.Fuzz)
		start := p.Line - 1 + head // p.Line is the untrimmed hunk's
		keep(done, start)
		done = start + len(old) - head - tail
		for _, l := range h.Lines[head : len(h.Lines)-tail] { // what is trimmed is context
			switch l.Op {
			case gitdiff.OpContext:
				keep(start, start+1)
				start++
			case gitdiff.OpDelete:
				start++
			default:
				out = append(out, []byte(l.Line))
			}
		}
		drift = p.Offset
		placed = append(placed, p)
	}
	keep(done, len(lines))
	return bytes.Join(out, nil), placed, moved, nil
}

func splitLines(text []byte) [][]byte {
	lines := bytes.SplitAfter(text, []byte("\n"))
	if n := len(lines); len(lines[n-1]) == 0 {
		lines = lines[:n-1]
	}
	return lines
}

// oldLines are a hunk's lines before the change.
func oldLines(h *gitdiff.TextFragment) (old [][]byte) {
	for _, l := range h.Lines {
		if l.Old() {
			old = append(old, []byte(l.Line))
		}
	}
	return old
}

// trims is how many lines of context a fuzz leaves away at each end: the
// longer context first, as patch(1) does.
func trims(h *gitdiff.TextFragment, fuzz int) (head, tail int) {
	context := max(h.LeadingContext, h.TrailingContext)
	head = max(fuzz+int(h.LeadingContext-context), 0)
	tail = max(fuzz+int(h.TrailingContext-context), 0)
	return min(head, int(h.LeadingContext)), min(tail, int(h.TrailingContext))
}

// place finds the nearest line to where h should stand at which it fits.
func place(lines [][]byte, h *gitdiff.TextFragment, old [][]byte, done, drift, fuzz int) (Placed, bool) {
	head, tail := trims(h, fuzz)
	if fuzz > 0 && head == 0 && tail == 0 {
		return Placed{}, false // no context to leave away
	}
	old = old[head : len(old)-tail]
	stated := int(min(h.OldPosition, int64(len(lines)+1))) - 1
	if h.OldLines == 0 { // @@ -N,0: behind line N
		stated++
	}
	first, last := done, len(lines)-len(old)
	want := stated + drift + head
	at := func(i int) bool { return i >= first && i <= last && fits(lines[i:], old) }
	if fuzz == 0 && h.LeadingContext < h.TrailingContext && h.OldPosition == 1 {
		return Placed{Line: 1}, at(0) // it lacks context because the file begins there
	}
	for off := 0; want-off >= first || want+off <= last; off++ {
		for _, i := range []int{want - off, want + off} {
			if at(i) {
				return Placed{Line: i - head + 1, Offset: i - head - stated, Fuzz: fuzz}, true
			}
		}
	}
	return Placed{}, false
}

func fits(lines, old [][]byte) bool { return slices.EqualFunc(lines[:len(old)], old, bytes.Equal) }

// failedHunk is a hunk that fits nowhere.
type failedHunk struct {
	number, of int
	hunk       *gitdiff.TextFragment
	lines, old [][]byte
	from       int // lines before it are taken by earlier hunks
}

func (f *failedHunk) Error() string { return fmt.Sprintf("hunk %d does not fit", f.number) }

// refusal says where the hunk comes nearest, and what differs there.
func (f *failedHunk) refusal(name string) *refusal.Refusal {
	r := &refusal.Refusal{
		Code: refusal.HunkFailed, File: name, Line: int(f.hunk.OldPosition),
		Text:   fmt.Sprintf("hunk %d of %d does not fit this kernel's source", f.number, f.of),
		Advice: "make the diff against this kernel's source",
	}
	at, fit := f.nearest()
	switch {
	case fit > 0 && fit == len(f.old) && at < f.from:
		r.Text += fmt.Sprintf(" where it stands in the diff: it fits line %d, above where hunk %d ends", at+1, f.number-1)
		r.Advice = "put the hunks into the order of the file"
	case fit > 0:
		r.Text += fmt.Sprintf("; the nearest match is at line %d, %d of %d lines", at+1, fit, len(f.old))
		for i, want := range f.old {
			if at+i >= len(f.lines) {
				r.Text += ", where the file ends"
				break
			}
			if !bytes.Equal(f.lines[at+i], want) {
				r.Text += fmt.Sprintf(": line %d is `%s`, the diff has `%s`", at+i+1, clip(f.lines[at+i]), clip(want))
				break
			}
		}
	}
	return r
}

// mostCompared bounds the search for the nearest match of a long hunk.
const mostCompared = 64

// nearest is the line (from 0) at which the most lines of the hunk fit, and
// how many; of equal ones the nearest to where the diff has it. Lines that
// stand everywhere (blank ones, lone braces) count only beside others.
func (f *failedHunk) nearest() (at, fit int) {
	best, bestDistance := 0, 0
	old := f.old[:min(len(f.old), mostCompared)]
	for i := range f.lines {
		n, telling := 0, false
		for j, want := range old {
			if i+j < len(f.lines) && bytes.Equal(f.lines[i+j], want) {
				n++
				telling = telling || len(bytes.TrimSpace(want)) > 2
			}
		}
		distance := max(i+1-int(f.hunk.OldPosition), int(f.hunk.OldPosition)-i-1)
		if telling && (n > best || n == best && distance < bestDistance) {
			at, best, bestDistance = i, n, distance
		}
	}
	return at, best
}

// clip is a line as a message shows it.
func clip(line []byte) string {
	text := strings.TrimSpace(string(line))
	if r := []rune(text); len(r) > 60 {
		text = string(r[:60]) + "…"
	}
	return text
}
