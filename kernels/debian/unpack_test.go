// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"archive/tar"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func unpack(t *testing.T, deb []byte, place Place) (dir string, err error) {
	t.Helper()
	outer := t.TempDir()
	dir = filepath.Join(outer, "root")
	require.NoError(t, os.Mkdir(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(outer, "secret"), []byte("untouched"), 0o644))
	root, err := os.OpenRoot(dir)
	require.NoError(t, err)
	defer root.Close()
	file := filepath.Join(outer, "x.deb")
	require.NoError(t, os.WriteFile(file, deb, 0o644))
	err = Unpack(file, root, place)
	text, readErr := os.ReadFile(filepath.Join(outer, "secret"))
	require.NoError(t, readErr)
	require.Equal(t, "untouched", string(text), "nothing outside of the root changes")
	return dir, err
}

func TestUnpack(t *testing.T) {
	for _, suffix := range []string{".xz", ".gz", ""} {
		dir, err := unpack(t, newDeb(t, suffix,
			member{name: "./usr/bin/", kind: tar.TypeDir, mode: 0o555},
			member{name: "./usr/bin/tool", content: "#!/bin/sh\n", mode: 0o4755},
			member{name: "./usr/bin/again", kind: tar.TypeLink, link: "./usr/bin/tool"},
			member{name: "./usr/bin/alias", kind: tar.TypeSymlink, link: "tool"},
			member{name: "./etc/absolute", kind: tar.TypeSymlink, link: "/etc/passwd"},
			member{name: "./dev/null", kind: tar.TypeChar},
			member{name: "./deep/without/folders", content: "x", mode: 0o400},
		), nil)
		require.NoError(t, err)
		info, err := os.Stat(filepath.Join(dir, "usr/bin/tool"))
		require.NoError(t, err)
		assert.Equal(t, os.FileMode(0o755), info.Mode(), "no set-user-id")
		assert.Equal(t, int64(1700000000), info.ModTime().Unix())
		again, err := os.Stat(filepath.Join(dir, "usr/bin/again"))
		require.NoError(t, err)
		assert.True(t, os.SameFile(info, again))
		for link, target := range map[string]string{"usr/bin/alias": "tool", "etc/absolute": "/etc/passwd"} {
			got, err := os.Readlink(filepath.Join(dir, link))
			require.NoError(t, err)
			assert.Equal(t, target, got)
		}
		assert.NoFileExists(t, filepath.Join(dir, "dev/null"))
		assert.FileExists(t, filepath.Join(dir, "deep/without/folders"))
	}
}

func TestUnpackOverWhatIsThere(t *testing.T) {
	dir, err := unpack(t, newDeb(t, ".gz",
		member{name: "./a", content: "one"}, member{name: "./a", content: "two"},
		member{name: "./b", kind: tar.TypeSymlink, link: "a"}, member{name: "./b", content: "own"},
	), nil)
	require.NoError(t, err)
	for name, want := range map[string]string{"a": "two", "b": "own"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		assert.Equal(t, want, string(text))
	}
}

func TestUnpackStaysInside(t *testing.T) {
	for name, members := range map[string][]member{
		"dots":                 {{name: "../secret", content: "bad"}},
		"deep dots":            {{name: "./usr/../../secret", content: "bad"}},
		"absolute":             {{name: "/secret", content: "bad"}},
		"through a link":       {{name: "./out", kind: tar.TypeSymlink, link: ".."}, {name: "./out/secret", content: "bad"}},
		"through an absolute":  {{name: "./out", kind: tar.TypeSymlink, link: "/"}, {name: "./out/tmp/secret", content: "bad"}},
		"hard link to outside": {{name: "./out", kind: tar.TypeLink, link: "../secret"}, {name: "./out", content: "bad"}},
		"symbolic, then write": {{name: "./s", kind: tar.TypeSymlink, link: "../secret"}, {name: "./s", content: "bad"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, _ = unpack(t, newDeb(t, ".gz", members...), nil) // which itself looks at the file outside
		})
	}
}

func TestUnpackPlaces(t *testing.T) {
	place := func(name string) (string, bool) {
		if name == "usr/keep" {
			return "kept", true
		}
		return name, name != "usr/drop"
	}
	dir, err := unpack(t, newDeb(t, ".gz",
		member{name: "./usr/keep", content: "k"}, member{name: "./usr/drop", content: "d"},
		member{name: "./link", kind: tar.TypeLink, link: "./usr/keep"}), place)
	require.NoError(t, err)
	assert.FileExists(t, filepath.Join(dir, "kept"))
	assert.FileExists(t, filepath.Join(dir, "link"))
	assert.NoFileExists(t, filepath.Join(dir, "usr/drop"))

	_, err = unpack(t, newDeb(t, ".gz", member{name: "./usr/drop", content: "d"}, member{name: "./l", kind: tar.TypeLink, link: "usr/drop"}), place)
	require.ErrorContains(t, err, "left out")
}

func TestUnpackDamaged(t *testing.T) {
	whole := newDeb(t, ".xz", member{name: "./a", content: "some content that is long enough"})
	for name, deb := range map[string][]byte{
		"empty": {}, "no archive": []byte("hello"), "no data": whole[:8+60+4], "cut": whole[:len(whole)-20],
	} {
		t.Run(name, func(t *testing.T) {
			_, err := unpack(t, deb, nil)
			require.ErrorContains(t, err, "unpack")
		})
	}
}

func FuzzUnpack(f *testing.F) {
	t := &testing.T{}
	f.Add(newDeb(t, ".gz", member{name: "./a/b", content: "x"}, member{name: "./l", kind: tar.TypeSymlink, link: "../.."}))
	f.Add(newDeb(t, ".xz", member{name: "./a", content: "x"}))
	f.Add(newDeb(t, "", member{name: "./a", content: "x"}, member{name: "./h", kind: tar.TypeLink, link: "a"}))
	f.Fuzz(func(t *testing.T, deb []byte) {
		_, _ = unpack(t, deb, nil)
	})
}
