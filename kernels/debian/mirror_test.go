// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMirrorVariable(t *testing.T) {
	t.Setenv(MirrorVariable, "https://mirror.example/debian/")
	m, err := FindMirror()
	require.NoError(t, err)
	assert.Equal(t, Mirror{"https://mirror.example/debian", "https://mirror.example/debian-security", "$" + MirrorVariable}, m)
	for _, bad := range []string{"mirror.example/debian", "ftp://x/debian", "http://", "::"} {
		t.Setenv(MirrorVariable, bad)
		_, err := FindMirror()
		require.ErrorContains(t, err, MirrorVariable, bad)
	}
}

func TestHostMirror(t *testing.T) {
	const release = "etc/os-release"
	for name, c := range map[string]struct {
		files map[string]string
		want  Mirror
		ok    bool
	}{
		"no Debian":  {map[string]string{release: "ID=ubuntu\nID_LIKE=debian\n", "etc/apt/sources.list": "deb http://a/debian x main\n"}, Mirror{}, false},
		"no sources": {map[string]string{release: "ID=debian\n"}, Mirror{}, false},
		"one line": {map[string]string{release: "ID=debian\n", "etc/apt/sources.list": "# deb http://no/debian x main\ndeb [signed-by=/x arch=amd64] http://a/debian/ trixie main\n" +
			"deb http://b/debian-security trixie-security main\ndeb cdrom:[x]/ y main\ndeb-src http://s/debian x main\n"},
			Mirror{"http://a/debian", "http://b/debian-security", ""}, true},
		"deb822": {map[string]string{release: "NAME=x\nID=debian\n",
			"etc/apt/sources.list.d/off.sources":    "Types: deb\nURIs: http://off/debian\nEnabled: no\nSuites: x\n",
			"etc/apt/sources.list.d/source.sources": "Types: deb-src\nURIs: http://src/debian\nSuites: x\n",
			"etc/apt/sources.list.d/on.sources":     "Types: deb deb-src\n# comment\nURIs: http://a/debian\nSuites: x\n\nTypes: deb\nURIs: https://other/packages\nSuites: y\n"},
			Mirror{"http://a/debian", DefaultMirror.Security, ""}, true},
		"other archives only": {map[string]string{release: "ID=debian\n", "etc/apt/sources.list.d/x.list": "deb http://x/ubuntu y main\n"}, Mirror{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			for path, text := range c.files {
				full := filepath.Join(root, path)
				require.NoError(t, os.MkdirAll(filepath.Dir(full), 0o755))
				require.NoError(t, os.WriteFile(full, []byte(text), 0o644))
			}
			got, ok := hostMirror(root)
			assert.Equal(t, c.ok, ok)
			got.Origin = ""
			assert.Equal(t, c.want, got)
		})
	}
}

// The table in keys/README.md is what the key files hold.
func TestKeysAreTheDocumentedOnes(t *testing.T) {
	readme, err := os.ReadFile("keys/README.md")
	require.NoError(t, err)
	ring, err := DebianKeys()
	require.NoError(t, err)
	n := 0
	for p, keys := range ring {
		for _, key := range keys {
			n++
			row := ""
			for line := range strings.Lines(string(readme)) {
				if strings.Contains(line, strings.ToUpper(hex.EncodeToString(key.PrimaryKey.Fingerprint))) {
					row = line
				}
			}
			assert.Equal(t, p == securityPart, strings.Contains(row, "-security-"), "row %q", row)
			for _, id := range key.Identities {
				name, _, _ := strings.Cut(id.Name, " <")
				assert.Contains(t, row, name)
			}
		}
	}
	assert.Equal(t, n, strings.Count(string(readme), ".gpg |"))
}

func TestSuitesAreWellFormed(t *testing.T) {
	ring, err := DebianKeys()
	require.NoError(t, err)
	seen := map[string]bool{}
	tools := 0
	for _, s := range Suites {
		assert.False(t, seen[s.Name], s.Name)
		seen[s.Name] = true
		assert.NotEmpty(t, ring[s.Part], s.Name)
		assert.Equal(t, s.Part == securityPart, strings.HasSuffix(s.Name, "-security"), s.Name)
		if s.Native != "" { // a suite of other releases' kernels has none
			assert.Regexp(t, `^[0-9]+\.[0-9]+$`, s.Native)
		}
		assert.False(t, s.Tools && (s.Moving || s.Distance > 0), "%s: tools run on the host", s.Name)
		if s.Tools {
			tools++
			assert.True(t, strings.HasPrefix(s.Name, "trixie"), "the tool root is of one release")
		}
	}
	assert.NotZero(t, tools)
}
