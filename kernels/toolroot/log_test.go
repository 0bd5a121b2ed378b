// SPDX-License-Identifier: Apache-2.0

package toolroot

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestLogIsBounded: a job that prints without end costs a few megabytes, and
// both ends of what it printed can be read.
func TestLogIsBounded(t *testing.T) {
	var log Log
	fmt.Fprintln(&log, "x.c:1:1: error: first")
	chatter := bytes.Repeat([]byte("chatter\n"), 1<<13)
	for range 200 { // 13 MB
		n, err := log.Write(chatter)
		require.NoError(t, err)
		require.Len(t, chatter, n)
		require.LessOrEqual(t, cap(log.head)+cap(log.tail), 8*logEnd)
	}
	fmt.Fprintln(&log, "make: *** Stop.")
	text := log.String()
	assert.True(t, strings.HasPrefix(text, "x.c:1:1: error: first\n"))
	assert.True(t, strings.HasSuffix(text, "make: *** Stop.\n"))
	assert.Contains(t, text, "bytes not kept")
	assert.Less(t, len(text), 3*logEnd)
}

func TestLastWords(t *testing.T) {
	assert.Empty(t, LastWords(" \n"))
	assert.Equal(t, "one\ntwo", LastWords("one\ntwo\n"))
	assert.Equal(t, "one", LastWords("\none"))
	var many strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&many, "line %d\n", i)
	}
	words := LastWords(many.String())
	assert.True(t, strings.HasSuffix(words, "\nline 998\nline 999"), words)
	assert.Regexp(t, `^\[… \d+ bytes before …\]\nline 960\n`, words)
	for _, log := range []string{
		strings.Repeat("x", 5*lastBytes),                                       // no line at all
		strings.Repeat(strings.Repeat("y", lastBytes/3)+"\n", 10),              // few long ones
		strings.Repeat("z", lastBytes-2) + "\nend",                             // just too long
		"short\n" + strings.Repeat("ä", 2*lastBytes) + "\n",                    // cut in a letter
		strings.Repeat(strings.Repeat("w", lastBytes/lastLines)+"\n", 10*1000), // both bounds
	} {
		words := LastWords(log)
		assert.LessOrEqual(t, len(words), lastBytes+100)
		assert.True(t, strings.HasSuffix(strings.TrimSpace(log), words[len(words)-3:]))
		assert.Contains(t, words, "bytes before")
	}
	short := strings.Repeat("a\n", lastLines)
	assert.Equal(t, strings.TrimSpace(short), LastWords(short), "exactly as many")
}
