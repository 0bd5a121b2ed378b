// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"bytes"
	"io"
	"reflect"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/harness/report/compare"
)

// drawing is what a stranger could put into any word of a report.
const drawing = "a\x1b[2J\x07\u009b31m\u202e\u2066\x7f\xffz\nfaked: line"

// TestPlain: what draws becomes visible, what is written stays.
func TestPlain(t *testing.T) {
	require.Equal(t, "a\ufffd[2J\ufffd\ufffd31m\ufffd\ufffd\ufffd\ufffdz\nfaked: line", report.Lines(drawing))
	require.Equal(t, "a\ufffd[2J\ufffd\ufffd31m\ufffd\ufffd\ufffd\ufffdz faked: line", report.OneLine(drawing))
	require.Equal(t, "µs … ×\tü\n", report.Lines("µs … ×\tü\n"))
	var out bytes.Buffer
	n, err := report.Plain(&out).Write([]byte(drawing))
	require.NoError(t, err)
	require.Equal(t, len(drawing), n)
	require.Equal(t, report.Lines(drawing), out.String())
}

// TestStrangersReports: a report in which every word is a stranger's is shown
// without anything that draws, whatever shows it.
func TestStrangersReports(t *testing.T) {
	var r report.Report
	spoil(reflect.ValueOf(&r).Elem(), 0)
	table, sums, searches := r, r, r
	table.Searches, table.Repeats = nil, nil
	sums.Searches = nil
	for name, write := range map[string]func(io.Writer){
		"table": table.WriteText, "repeats": sums.WriteText, "searches": searches.WriteText, "selftests": r.WriteSelftests,
		"summary": report.Merged{Report: r}.WriteSummary,
		"compare": func(w io.Writer) {
			s := compare.Side{Name: drawing, Patch: drawing, Release: drawing}
			compare.Result{Pairs: []compare.Pair{{A: s, B: s, Outcome: compare.Unknown, Reason: drawing, Warnings: []string{drawing}}}}.WriteText(w)
		},
	} {
		var out bytes.Buffer
		write(&out)
		require.True(t, utf8.Valid(out.Bytes()), name)
		require.Contains(t, out.String(), "a\ufffd[2J", name)
		for _, c := range out.String() {
			require.True(t, unicode.IsGraphic(c) || c == '\n' || c == '\t', "%s: %U in %s", name, c, out.String())
		}
		require.NotContains(t, out.String(), "\nfaked", name)
	}
}

// spoil fills every word of v with drawing, a list with one of its kind.
func spoil(v reflect.Value, depth int) {
	if depth > 12 {
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(drawing)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		spoil(v.Elem(), depth+1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		spoil(v.Index(0), depth+1)
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Field(i).CanSet() {
				spoil(v.Field(i), depth+1)
			}
		}
	}
}
