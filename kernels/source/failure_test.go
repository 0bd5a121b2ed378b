// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestEndlessLog: what make prints without end is neither read back as a whole
// nor waited for as a line, and the complaint behind it is found.
func TestEndlessLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	f, err := os.Create(path)
	require.NoError(t, err)
	defer f.Close()
	var count counter
	chatter := bytes.Repeat([]byte("y"), 1<<20)
	for range 8 {
		_, err := f.Write(chatter)
		require.NoError(t, err)
		_, err = count.Write(chatter)
		require.NoError(t, err)
		require.LessOrEqual(t, len(count.rest), longestLine)
	}
	fmt.Fprint(f, "\nfs/namei.c:12:3: error: no such thing\n")
	fmt.Fprint(&count, "\n  CC      fs/namei.o\n")
	text, err := readLog(path)
	require.NoError(t, err)
	assert.Less(t, len(text), 3<<20)
	assert.Equal(t, "fs/namei.c:12:3: error: no such thing", firstComplaint(text))
	assert.EqualValues(t, 1, count.n)
}
