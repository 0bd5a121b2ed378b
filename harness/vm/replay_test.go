// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestConsoleText(t *testing.T) {
	dir := t.TempDir()
	log := "# Serial console. First column: seconds since 2026.\n" +
		"    1.127934  [    3.729323] cmdline: loading\n" +
		" 1234.000001  # Serial console. said the guest\n" +
		"    2.000000  \n" +
		"    3.000000      4.000000  indented\n"
	require.NoError(t, os.WriteFile(filepath.Join(dir, "serial.log"), []byte(log), 0o644))
	text, err := ConsoleText(dir)
	require.NoError(t, err)
	require.Equal(t, "[    3.729323] cmdline: loading\n# Serial console. said the guest\n\n    4.000000  indented\n", string(text))
}

func TestExecutionLogWhole(t *testing.T) {
	log := &ExecutionLog{File: filepath.Join(t.TempDir(), "log")}
	require.ErrorIs(t, log.Whole(), os.ErrNotExist)
	for content, want := range map[string]error{
		"":                      ErrLogUnfinished,
		"\x00\x00\x00\x00\x00x": ErrLogUnfinished,
		"\x00\xe0\x20\x0d\x00x": nil,
	} {
		require.NoError(t, os.WriteFile(log.File, []byte(content), 0o644))
		require.ErrorIs(t, log.Whole(), want)
	}
}
