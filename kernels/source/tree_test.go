// SPDX-License-Identifier: Apache-2.0

package source

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A tree's hash is of its sources: whatever changes one of them changes it, and
// what a build left there does not.
func TestIdentify(t *testing.T) {
	inGit := func(t *testing.T, dir string) {
		if _, err := exec.LookPath("git"); err != nil {
			t.Skip(err)
		}
		for _, args := range [][]string{
			{"init", "-q"}, {"add", "."}, {"-c", "user.name=a", "-c", "user.email=a@example.org", "commit", "-q", "-m", "all"},
		} {
			out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput()
			require.NoError(t, err, "%s", out)
		}
	}
	for kind, prepare := range map[string]func(*testing.T, string){"git": inGit, "plain": func(*testing.T, string) {}} {
		t.Run(kind, func(t *testing.T) {
			dir := plant(t, map[string]string{".gitignore": "*.o\n"})
			prepare(t, dir)
			seen := map[string]string{}
			check := func(what string, isNew bool) []string {
				t.Helper()
				files, hash, err := identify(t.Context(), dir)
				require.NoError(t, err)
				before, known := seen[hash]
				assert.Equal(t, isNew, !known, "%s: as %s", what, before)
				seen[hash] = what
				return files
			}
			write := func(name, text string, mode os.FileMode) {
				t.Helper()
				require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), mode))
				require.NoError(t, os.Chmod(filepath.Join(dir, name), mode))
			}
			assert.Contains(t, check("as it was", true), "fs/namei.c")
			check("asked again", false)
			write("fs/namei.c", "int namei = 3;\n", 0o644)
			check("a changed file", true)
			write("fs/namei.c", tinyTree["fs/namei.c"], 0o644)
			check("changed back", false)
			write("fs/new.c", "x", 0o644)
			assert.Contains(t, check("a new file", true), "fs/new.c")
			write("fs/new.c", "y", 0o644)
			check("another new file", true)
			write("fs/new.c", "y", 0o755)
			check("executable", true)
			require.NoError(t, os.Remove(filepath.Join(dir, "fs/new.c")))
			require.NoError(t, os.Remove(filepath.Join(dir, "kernel/fork.c")))
			check("a removed file", true)
			if kind == "git" {
				write("fs/namei.o", "object", 0o644)
				files := check("a product", false)
				assert.False(t, slices.Contains(files, "fs/namei.o"))
			}
		})
	}
}

func TestNeeded(t *testing.T) {
	for rel, want := range map[string]bool{
		"Makefile": true, "arch/Kconfig": true, "arch/x86/Makefile": true, "arch/arm64/kernel/head.S": false, "arch/um/scripts/Makefile.rules": true, "Documentation/Kconfig": true,
		"Documentation/livepatch/livepatch.rst": false, "tools/perf/perf.c": false, "arch/arm/crypto/Kconfig": true, "tools/objtool/check.c": true,
		"tools/testing/selftests/livepatch/config": true, "tools/testing/kunit/kunit.py": false, "fs/namei.c": true,
	} {
		assert.Equal(t, want, needed(rel), rel)
	}
}
