// SPDX-License-Identifier: Apache-2.0

package calls

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// kernels are those whose pages are in testdata: of each the format files, a
// page with calls in every context and what the kernel itself says of it in
// words, and a page before which records are missing.
func kernels(t testing.TB) []string {
	t.Helper()
	dirs, err := filepath.Glob("testdata/*/contexts.page")
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(dirs), 3)
	for i := range dirs {
		dirs[i] = filepath.Dir(dirs[i])
	}
	return dirs
}

func testDecoder(t testing.TB, dir string) *decoder {
	t.Helper()
	d, err := newDecoder(func(file string) string {
		b, err := os.ReadFile(filepath.Join(dir, strings.ReplaceAll(file, "/", "_")))
		if file != fileNewTask { // it came later than the pages
			require.NoError(t, err)
		}
		return string(b)
	})
	require.NoError(t, err)
	return d
}

// traceLine is a line of the trace in words:
//
//	contexts-97  [000] .....    17.888919: contexts_touch <-from_kthread
//	<idle>-0     [000] d.s..    17.888919: softirq_entry: vec=6 [action=TASKLET]
var traceLine = regexp.MustCompile(`-(\d+) +\[(\d+)\] (\S+) +(\d+)\.(\d{6}): (?:(\S+) <-(\S+)|softirq_(entry|exit): vec=(\d+))`)

// TestPages: what is read of a page is what the kernel says of it in words.
func TestPages(t *testing.T) {
	for _, dir := range kernels(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			d := testDecoder(t, dir)
			page, err := os.ReadFile(filepath.Join(dir, "contexts.page"))
			require.NoError(t, err)
			text, err := os.ReadFile(filepath.Join(dir, "contexts.page.txt"))
			require.NoError(t, err)
			var want []string
			for line := range strings.Lines(string(text)) {
				m := traceLine.FindStringSubmatch(line)
				if m == nil {
					continue
				}
				what := "entered " + contextLetter(m[3]) + " " + m[1]
				if m[8] != "" {
					what = "softirq " + m[8]
				}
				want = append(want, fmt.Sprintf("%s.%s %s", m[4], m[5], what))
			}
			require.Greater(t, len(want), 40)
			var got []string
			lost, err := d.page(page, 0, func(r record) {
				what := map[kind]string{softirqIn: "softirq entry", softirqOut: "softirq exit", gap: "gap"}[r.kind]
				if r.kind == entered {
					what = fmt.Sprintf("entered %s %d", [...]string{"task", "softirq", "hardirq", "nmi"}[r.level], r.pid)
				}
				us := (r.t + 500) / 1000 // the kernel rounds
				got = append(got, fmt.Sprintf("%d.%06d %s", us/1e6, us%1e6, what))
			})
			require.NoError(t, err)
			require.Zero(t, lost)
			require.Equal(t, want[:min(len(want), len(got))], got) // there may be a second page
		})
	}
}

// contextLetter takes the third of the letters before a line's stamp for what
// it stands for.
func contextLetter(letters string) string {
	switch letters[2] {
	case 's':
		return "softirq"
	case 'h', 'H':
		return "hardirq"
	case 'Z', 'z':
		return "nmi"
	}
	return "task"
}

// TestOverrunPages: a page before which records are missing says so, and the
// others are there.
func TestOverrunPages(t *testing.T) {
	for _, dir := range kernels(t) {
		t.Run(filepath.Base(dir), func(t *testing.T) {
			d := testDecoder(t, dir)
			page, err := os.ReadFile(filepath.Join(dir, "overrun.page"))
			require.NoError(t, err)
			gaps, entries := 0, 0
			lost, err := d.page(page, 0, func(r record) {
				if r.kind == gap {
					gaps++
				} else {
					entries++
				}
			})
			require.NoError(t, err)
			require.Equal(t, 1, gaps)
			require.Greater(t, entries, 50)
			stats, err := os.ReadFile(filepath.Join(dir, "overrun.stats"))
			require.NoError(t, err)
			require.Equal(t, overrunOf(stats), lost, "%s", stats)
		})
	}
}

// TestLayout: pages of another form than any kernel's are refused.
func TestLayout(t *testing.T) {
	const good = "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\tfield: local_t commit;\toffset:8;\tsize:8;\tsigned:1;\n\tfield: int overwrite;\toffset:8;\tsize:1;\tsigned:1;\n\tfield: char data;\toffset:16;\tsize:4080;\tsigned:0;\n"
	l, err := parseLayout(good)
	require.NoError(t, err)
	require.Equal(t, 4096, l.size)
	large, err := parseLayout(strings.ReplaceAll(good, "4080", "65520"))
	require.NoError(t, err)
	require.Equal(t, 65536, large.size)
	for _, bad := range []string{
		"", "no fields", strings.ReplaceAll(good, "size:4080", "size:-1"), strings.ReplaceAll(good, "size:4080", "size:999999999"),
		strings.ReplaceAll(good, "offset:16", "offset:4"), strings.ReplaceAll(good, "timestamp", "stamp"), strings.ReplaceAll(good, "commit;\toffset:8", "commit;\toffset:12"),
	} {
		_, err := parseLayout(bad)
		require.Error(t, err, "%q", bad)
	}
}

// page makes a page of entries, as the kernel would.
func page(stamp uint64, flags uint64, entries ...[]byte) []byte {
	b := make([]byte, 16, 4096)
	binary.LittleEndian.PutUint64(b, stamp)
	for _, e := range entries {
		b = append(b, e...)
	}
	binary.LittleEndian.PutUint64(b[8:], uint64(len(b)-16)|flags)
	return b
}

func word(n uint32) []byte { return binary.LittleEndian.AppendUint32(nil, n) }

func header(kind, delta uint32) []byte { return word(kind | delta<<5) }

func join(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

var plain = layout{size: 4096, timestamp: field{0, 8}, commit: field{8, 8}, data: field{16, 4080}}

// TestEntries is the forms that an entry can have.
func TestEntries(t *testing.T) {
	for name, c := range map[string]struct {
		page    []byte
		want    []string // stamp and record
		lost    uint64
		missed  bool
		damaged bool
	}{
		"none":                               {page: page(5, 0)},
		"short":                              {page: page(5, 0, header(1, 2), word(0xa)), want: []string{"7 0a000000"}},
		"two":                                {page: page(5, 0, header(1, 2), word(0xa), header(2, 3), word(1), word(2)), want: []string{"7 0a000000", "10 0100000002000000"}},
		"long":                               {page: page(5, 0, header(0, 1), word(8), word(0xa)), want: []string{"6 0a000000"}},
		"time extended":                      {page: page(5, 0, header(30, 1), word(2), header(1, 1), word(3)), want: []string{fmt.Sprintf("%d 03000000", 5+1+2<<27+1)}},
		"time stamped":                       {page: page(5, 0, header(31, 9), word(1), header(1, 1), word(3)), want: []string{fmt.Sprintf("%d 03000000", 1<<27+9+1)}},
		"discarded":                          {page: page(5, 0, header(29, 4), word(8), word(0), header(1, 1), word(3)), want: []string{"10 03000000"}},
		"padded":                             {page: page(5, 0, header(1, 1), word(3), header(29, 0), word(7), word(9)), want: []string{"6 03000000"}},
		"missing":                            {page: page(5, missedEvents, header(1, 1), word(3)), want: []string{"6 03000000"}, missed: true},
		"missing, stored":                    {page: append(page(5, missedEvents|missedStored, header(1, 1), word(3)), 42, 0, 0, 0, 0, 0, 0, 0), want: []string{"6 03000000"}, missed: true, lost: 42},
		"missing, but how many is not known": {page: append(page(5, missedEvents|missedStored, header(1, 1), word(3)), 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), want: []string{"6 03000000"}, missed: true},
		"cut in a header":                    {page: page(5, 0, header(1, 1), word(3), []byte{1, 2}), want: []string{"6 03000000"}, damaged: true},
		"cut in an entry":                    {page: page(5, 0, header(9, 1), word(3)), damaged: true},
		"long, of no length":                 {page: page(5, 0, header(0, 1), word(0)), damaged: true},
		"long, over the end":                 {page: page(5, 0, header(0, 1), word(0xffffffff)), damaged: true},
		"discarded, over the end":            {page: page(5, 0, header(29, 4), word(400)), damaged: true},
		"discarded, of no length":            {page: page(5, 0, header(29, 4), word(0)), damaged: true},
		"longer than it is":                  {page: page(5, 400, header(1, 1), word(3)), damaged: true},
		"no page":                            {page: []byte{1}, damaged: true},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			lost, missed, err := plain.read(c.page, func(t uint64, r []byte) { got = append(got, fmt.Sprintf("%d %x", t, r)) })
			require.Equal(t, c.want, got)
			require.Equal(t, c.lost, lost)
			require.Equal(t, c.missed, missed)
			require.Equal(t, c.damaged, err != nil)
		})
	}
}

// FuzzPage: whatever lies in a page, reading it ends, holds to its bounds, and
// gives no more than can be in it.
func FuzzPage(f *testing.F) {
	for _, dir := range kernels(f) {
		for _, name := range []string{"contexts.page", "overrun.page"} {
			b, err := os.ReadFile(filepath.Join(dir, name))
			require.NoError(f, err)
			f.Add(b)
		}
	}
	f.Add(page(5, missedEvents|missedStored, join(header(0, 1), word(8), word(1)), join(header(30, 1), word(2))))
	d := testDecoder(f, kernels(f)[0])
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		_, _, _ = plain.read(b, func(uint64, []byte) { n++ })
		if n > len(b)/4 {
			t.Fatalf("%d records in %d bytes", n, len(b))
		}
		_, _ = d.page(b, 0, func(record) {})
	})
}

// FuzzFormat: no text is a format that reading a record by could go wrong.
func FuzzFormat(f *testing.F) {
	for _, dir := range kernels(f) {
		for _, file := range []string{fileHeader, fileFunction} {
			b, err := os.ReadFile(filepath.Join(dir, strings.ReplaceAll(file, "/", "_")))
			require.NoError(f, err)
			f.Add(string(b), []byte("0123456789012345678901234567890123456789"))
		}
	}
	f.Fuzz(func(t *testing.T, text string, record []byte) {
		if l, err := parseLayout(text); err == nil {
			_, _, _ = l.read(record, func(uint64, []byte) {})
			_, _, _ = l.read(make([]byte, l.size), func(uint64, []byte) {})
		}
		if format, err := parseFormat(text, "ip"); err == nil {
			format.uint(record, "ip")
		}
	})
}
