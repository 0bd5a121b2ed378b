// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/kernels"
)

// making is an archive with what one kernel is made from and with.
func making(t *testing.T) (*fake, *Archive) {
	f := newFake(t)
	for _, p := range [][]string{
		{"linux-source-6.12", "6.12.9-1"}, {"linux-source-6.12", "6.12.10-1"},
		{"gcc-12", "12.4.0-5"}, {"cpp-12", "12.4.0-5"}, {"libgcc-12-dev", "12.4.0-5"},
		{"gcc-14", "14.2.0-19", "Depends: gcc-14-x86-64-linux-gnu (= 14.2.0-19)"}, {"cpp-14", "14.2.0-19"},
		{"gcc-14-x86-64-linux-gnu", "14.2.0-19"}, {"cpp-14-x86-64-linux-gnu", "14.2.0-19"}, {"libgcc-14-dev", "14.2.0-19"},
		{"binutils-x86-64-linux-gnu", "2.44-3", "Depends: libc6, libsframe1 (>= 2.44), zlib1g"}, {"libbinutils", "2.44-3"}, {"libsframe1", "2.44-3"},
		{"gcc-14-locales", "14.2.0-19"},
	} {
		f.add(p[0], p[1], newDeb(t, ".xz", member{name: "./usr/" + p[0], content: p[1]}), p[2:]...)
	}
	f.publish()
	return f, f.archive()
}

func kitOf(version string) *kernels.Kit {
	return &kernels.Kit{Release: "6.12.9+deb13-amd64", Version: version, Source: ProviderName + ":trixie"}
}

func names(packages []Package) string {
	var all []string
	for _, p := range packages {
		all = append(all, p.Name+" "+p.Version)
	}
	return strings.Join(all, ", ")
}

func TestSource(t *testing.T) {
	_, a := making(t)
	p, err := a.Source(t.Context(), kitOf("6.12.9-1"))
	require.NoError(t, err)
	assert.Equal(t, "linux-source-6.12 6.12.9-1", names([]Package{p}))

	// A source that is nearly the kernel's will not do.
	_, err = a.Source(t.Context(), kitOf("6.12.8-1"))
	var gone *Gone
	require.ErrorAs(t, err, &gone)
	assert.Equal(t, "the Debian archive has no linux-source-6.12 6.12.8-1 (any more); it has 6.12.9-1, 6.12.10-1", gone.Error())
	_, err = a.Source(t.Context(), kitOf("6.13.1-1"))
	require.ErrorAs(t, err, &gone)
	assert.Equal(t, "the Debian archive has no package linux-source-6.13", gone.Error())
}

func TestCompilerPackages(t *testing.T) {
	_, a := making(t)
	for _, c := range []struct{ series, version, want string }{
		{"12", "12.4.0-5", "gcc-12 12.4.0-5, cpp-12 12.4.0-5, libgcc-12-dev 12.4.0-5"},
		{"12", "12.2.0-14", "gcc-12 12.4.0-5, cpp-12 12.4.0-5, libgcc-12-dev 12.4.0-5"}, // the nearest there is
		{"14", "14.2.0-19", "gcc-14-x86-64-linux-gnu 14.2.0-19, cpp-14-x86-64-linux-gnu 14.2.0-19, libgcc-14-dev 14.2.0-19"},
	} {
		got, err := a.Compiler(t.Context(), kitOf("6.12.9-1"), c.series, c.version)
		require.NoError(t, err)
		assert.Equal(t, c.want, names(got))
	}
	_, err := a.Compiler(t.Context(), kitOf("6.12.9-1"), "9", "9.1.0-1")
	var gone *Gone
	require.ErrorAs(t, err, &gone)

	got, err := a.Assembler(t.Context(), kitOf("6.12.9-1"))
	require.NoError(t, err)
	assert.Equal(t, "binutils-x86-64-linux-gnu 2.44-3, libbinutils 2.44-3, libsframe1 2.44-3", names(got))
}

// TestIndexOfAnOlderSwitchyard knows nothing of sources: it is fetched anew when
// one is asked for, and not before.
func TestIndexOfAnOlderSwitchyard(t *testing.T) {
	f, a := making(t)
	_, err := a.indexes(t.Context(), within(0))
	require.NoError(t, err)
	file := a.indexPath(f.suite)
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	var old map[string]any
	require.NoError(t, json.Unmarshal(text, &old))
	delete(old, "Making")
	delete(old, "MakingNames")
	text, err = json.Marshal(old)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(file, text, 0o644))
	f.asked()

	_, err = a.indexes(t.Context(), within(0))
	require.NoError(t, err)
	assert.Empty(t, f.asked())
	_, err = a.Source(t.Context(), kitOf("6.12.9-1"))
	require.NoError(t, err)
	assert.NotEmpty(t, f.asked())
	_, err = a.Source(t.Context(), kitOf("6.12.10-1"))
	require.NoError(t, err)
	assert.Empty(t, f.asked())
}

func TestNearest(t *testing.T) {
	a := &Archive{Suites: Suites}
	var got []string
	for _, s := range a.nearest("bookworm-security") {
		got = append(got, s.Name)
	}
	assert.Equal(t, []string{"bookworm-security", "bookworm", "bookworm-updates", "bookworm-backports", "trixie"}, got[:5])
	assert.Len(t, got, len(Suites))
}

func TestData(t *testing.T) {
	dir := t.TempDir()
	for _, suffix := range []string{"", ".gz", ".xz"} {
		file := filepath.Join(dir, "a.deb")
		require.NoError(t, os.WriteFile(file, newDeb(t, suffix, member{name: "./usr/a", content: "hello"}), 0o644))
		d, err := OpenData(file)
		require.NoError(t, err)
		assert.Equal(t, suffix, d.Suffix)
		content, err := io.ReadAll(d)
		require.NoError(t, err)
		assert.Len(t, content, int(d.Size))
		require.NoError(t, d.Close())
	}
	file := filepath.Join(dir, "b.deb")
	require.NoError(t, os.WriteFile(file, []byte("!<arch>\nshort"), 0o644))
	_, err := OpenData(file)
	require.Error(t, err)
}
