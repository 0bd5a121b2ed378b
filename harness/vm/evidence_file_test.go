// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

var gap = regexp.MustCompile(`\n\[… (\d+) bytes in (\d+) lines not kept …\]\n`)

// However it is written: what is on the disk is the beginning and the end of
// it, the gap is told truly, and the disk never holds more than it may.
func TestEvidenceFile(t *testing.T) {
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		head := rapid.Int64Range(0, 200).Draw(t, "head")
		tail := rapid.Int64Range(2, 200).Draw(t, "tail")
		path := filepath.Join(dir, "log")
		f, err := createEvidence(path, head, tail)
		require.NoError(t, err)
		var all strings.Builder
		for range rapid.IntRange(0, 20).Draw(t, "writes") {
			text := rapid.StringMatching(`([a-z]{0,30}\n?){0,3}`).Draw(t, "text")
			all.WriteString(text)
			n, err := f.Write([]byte(text))
			require.NoError(t, err)
			require.Equal(t, len(text), n)
			require.LessOrEqual(t, diskUse(dir), head+tail)
		}
		require.NoError(t, f.Close())
		require.NoError(t, f.Close())
		got, err := os.ReadFile(path)
		require.NoError(t, err)
		entries, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Len(t, entries, 1, "the tails are gone")

		m := gap.FindStringSubmatchIndex(string(got))
		if m == nil {
			require.Equal(t, all.String(), string(got))
			return
		}
		before, after := string(got[:m[0]]), string(got[m[1]:])
		bytes, _ := strconv.Atoi(string(got[m[2]:m[3]]))
		lines, _ := strconv.Atoi(string(got[m[4]:m[5]]))
		require.True(t, strings.HasPrefix(all.String(), before))
		require.True(t, strings.HasSuffix(all.String(), after))
		require.EqualValues(t, head, len(before))
		require.GreaterOrEqual(t, int64(len(after)), tail/2)
		missing := all.String()[len(before) : all.Len()-len(after)]
		require.Len(t, missing, bytes)
		require.Equal(t, strings.Count(missing, "\n"), lines)
	})
}

func diskUse(dir string) (n int64) {
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if info, err := e.Info(); err == nil {
			n += info.Size()
		}
	}
	return n
}

// A full disk does not hinder the writer, and is told.
func TestEvidenceDiskFull(t *testing.T) {
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip(err)
	}
	dir := t.TempDir()
	require.NoError(t, os.Symlink("/dev/full", filepath.Join(dir, "log")))
	f, err := createEvidence(filepath.Join(dir, "log"), 100, 100)
	require.NoError(t, err)
	n, err := f.Write([]byte("text"))
	require.NoError(t, err)
	require.Equal(t, 4, n)
	require.ErrorContains(t, f.Err(), "no space left")
	require.ErrorContains(t, f.Close(), "no space left")
}
