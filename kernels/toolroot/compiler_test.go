// SPDX-License-Identifier: Apache-2.0

package toolroot

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/kernels"
)

// rootOf is a root that has a compiler and an assembler.
func rootOf(t *testing.T, series, version, as string) *Root {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{
		"usr/bin/x86_64-linux-gnu-gcc-" + series:               "\x7fELF … (Debian " + version + ") …",
		"usr/lib/x86_64-linux-gnu/libbfd-" + as + "-system.so": "",
	} {
		require.NoError(t, os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644))
	}
	return &Root{Dir: dir}
}

func kitWith(t *testing.T, config ...string) *kernels.Kit {
	t.Helper()
	file := filepath.Join(t.TempDir(), "config")
	require.NoError(t, os.WriteFile(file, []byte(strings.Join(config, "\n")), 0o644))
	return &kernels.Kit{Release: "6.12.9", ConfigFile: file}
}

// TestOwnCompiler needs nothing that is not in the root.
func TestOwnCompiler(t *testing.T) {
	r := rootOf(t, "14", "14.2.0-19", "2.44")
	for _, text := range []string{"gcc-14 (Debian 14.2.0-19) 14.2.0", "x86_64-linux-gnu-gcc-14 (Debian 14.2.0-19) 14.2.0"} {
		cc, err := r.Compiler(t.Context(), kitWith(t, `CONFIG_CC_VERSION_TEXT="`+text+`"`, "CONFIG_AS_VERSION=24400"))
		require.NoError(t, err)
		assert.Equal(t, &Compiler{CC: "gcc-14", Name: "gcc-14 14.2.0-19"}, cc)
	}
	for _, version := range []string{"14.2.0-1", "14.2.0-190"} {
		own, err := r.own("14", version)
		require.NoError(t, err)
		assert.False(t, own, version)
	}
}

// TestForeignCompiler is one that nobody here can get.
func TestForeignCompiler(t *testing.T) {
	r := rootOf(t, "14", "14.2.0-19", "2.44")
	for _, text := range []string{"Debian clang version 19.1.7", "gcc (Ubuntu 13.2.0-4ubuntu3) 13.2.0", ""} {
		_, err := r.Compiler(t.Context(), kitWith(t, `CONFIG_CC_VERSION_TEXT="`+text+`"`))
		var lacking *kernels.Lacking
		require.ErrorAs(t, err, &lacking)
		assert.Contains(t, lacking.What, text)
	}
}

func TestNewerAssembler(t *testing.T) {
	r := rootOf(t, "14", "14.2.0-19", "2.44")
	for value, want := range map[string]bool{"23502": false, "24000": false, "24400": false, "24450": false, "24500": true, "24750": true, "": false} {
		got, err := r.newerAssembler(assemblerVersion(value))
		require.NoError(t, err)
		assert.Equal(t, want, got, value)
	}
	assert.Equal(t, "2.47.50", assemblerVersion("24750"))
	assert.Equal(t, "2.35.2", assemblerVersion("23502"))
}
