// SPDX-License-Identifier: Apache-2.0

package patch_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch"
)

// TestStrangersMakefile: what a build leaves in the place of a module is not
// followed on this machine, nor waited for, nor taken whatever its size; and
// what it prints without end is not all kept.
func TestStrangersMakefile(t *testing.T) {
	b, kits := bench(t, t.TempDir())
	for name, c := range map[string]struct{ does, want string }{
		"link to a device":        {"ln -s /dev/zero $(src)/hostile.ko", "is a link: a module must be a file"},
		"link to the host's file": {"ln -s /etc/hostname $(src)/hostile.ko", "is a link: a module must be a file"},
		"FIFO":                    {"mkfifo $(src)/hostile.ko", "is no file (p"},
		"folder":                  {"mkdir $(src)/hostile.ko", "is no file (d"},
		"too large":               {"truncate -s 300M $(src)/hostile.ko", "has 314572800 bytes, and 268435456 may be"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "hostile")
			require.NoError(t, os.Mkdir(dir, 0o755))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "hostile.c"), []byte("int f(void) { return 0; }\n"), 0o644))
			require.NoError(t, os.WriteFile(filepath.Join(dir, "Kbuild"), []byte("$(shell "+c.does+")\n"), 0o644))
			_, err := build(t, b, dir, kits[0])
			var input *patch.InputError
			require.ErrorAs(t, err, &input)
			require.Contains(t, err.Error(), "hostile.ko, which "+c.want)
			require.Contains(t, err.Error(), dir)
		})
	}
	t.Run("endless words", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "wordy")
		require.NoError(t, os.Mkdir(dir, 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "wordy.c"), []byte("int f(void) { return nowhere; }\n"), 0o644))
		require.NoError(t, os.WriteFile(filepath.Join(dir, "Kbuild"), []byte("$(info first words)\n$(shell yes wordy | head -c 8000000 >&2)\nobj-m := wordy.o\n"), 0o644))
		_, err := build(t, b, dir, kits[0])
		var failed *patch.BuildError
		require.ErrorAs(t, err, &failed)
		require.Less(t, len(failed.Log), 3<<20)
		require.Contains(t, failed.Log, "first words")
		require.Contains(t, failed.Log, "bytes not kept")
		require.True(t, strings.Contains(failed.First, "nowhere"), failed.First)
	})
}
