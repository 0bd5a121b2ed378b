// SPDX-License-Identifier: Apache-2.0

package toolroot

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/kernels/debian"
	"github.com/switchyard-project/switchyard/kernels/store"
)

func TestRecipesAreWellFormed(t *testing.T) {
	for _, part := range parts {
		seen := map[string]bool{}
		for _, c := range append(append([]choice{}, part.want...), part.without...) {
			assert.NotEmpty(t, c.why, c.pkg)
			assert.False(t, seen[c.pkg], "%s twice in %s", c.pkg, part.name)
			seen[c.pkg] = true
		}
	}
	assert.NotEqual(t, buildPart.prefix(), qemuPart.prefix())
}

func TestEntryNameDependsOnPackages(t *testing.T) {
	one := []debian.Package{{Name: "a", Version: "1", SHA256: "x"}}
	names := map[string]bool{
		buildPart.entryName(one): true,
		buildPart.entryName([]debian.Package{{Name: "a", Version: "2", SHA256: "x"}}): true,
		buildPart.entryName([]debian.Package{{Name: "a", Version: "1", SHA256: "y"}}): true,
		qemuPart.entryName(one): true,
	}
	assert.Len(t, names, 4)
	assert.Equal(t, buildPart.entryName(one), buildPart.entryName(one))
	changed := buildPart
	changed.want = append([]choice{{"more", "x"}}, changed.want...)
	assert.NotEqual(t, buildPart.entryName(one), changed.entryName(one))
}

func TestNewestAtHand(t *testing.T) {
	st, err := store.Open(t.TempDir())
	require.NoError(t, err)
	_, ok := newestAtHand(st, buildPart)
	assert.False(t, ok)
	for i, name := range []string{buildPart.prefix() + "old", buildPart.prefix() + "new", "build-00000000-other", qemuPart.prefix() + "x"} {
		require.NoError(t, os.MkdirAll(st.Path(kind, name), 0o755))
		if i == 0 {
			require.NoError(t, os.Chtimes(st.Path(kind, name), buildTime, buildTime))
		}
	}
	name, ok := newestAtHand(st, buildPart)
	assert.True(t, ok)
	assert.Equal(t, buildPart.prefix()+"new", name)
}

func TestPlace(t *testing.T) {
	for name, want := range map[string]string{
		"usr/bin/make": "usr/bin/make", "lib64/ld.so": "usr/lib64/ld.so", "bin/sh": "usr/bin/sh", "etc/passwd": "etc/passwd",
		"bin": "", "lib": "", "usr/share/doc/make/copyright": "", "usr/share/doc": "", "var/lib/x": "", "usr/share/qemu/pvh.bin": "usr/share/qemu/pvh.bin",
	} {
		to, ok := place(name)
		assert.Equal(t, want != "", ok, name)
		if ok {
			assert.Equal(t, want, to)
		}
	}
}

func TestEntryRemedy(t *testing.T) {
	for _, b := range blockers {
		sys := t.TempDir()
		file := filepath.Join(sys, strings.ReplaceAll(b.name, ".", "/"))
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(b.forbids+"\n"), 0o644))
		assert.Contains(t, entryRemedy(sys), "`sudo sysctl "+b.name+"="+b.allows+"`")
		require.NoError(t, os.WriteFile(file, []byte(b.allows+"\n"), 0o644))
		assert.NotContains(t, entryRemedy(sys), b.name)
	}
	assert.Contains(t, entryRemedy(t.TempDir()), "sudo")
}
