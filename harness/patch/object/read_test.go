// SPDX-License-Identifier: Apache-2.0

package object

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// FuzzRead holds that a hostile object gives an error and never a panic.
func FuzzRead(f *testing.F) {
	for _, name := range []string{"testdata/small.o"} {
		if data, err := os.ReadFile(name); err == nil {
			f.Add(data)
			f.Add(data[:len(data)/2])
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := Read("fuzz", bytes.NewReader(data))
		if err != nil {
			return
		}
		for _, s := range o.Sections {
			for _, r := range s.Relocs {
				require.NotNil(t, r.Symbol)
				require.Less(t, r.Offset, s.Size)
			}
		}
	})
}

func TestReadGoObject(t *testing.T) {
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("no gcc here")
	}
	dir := t.TempDir()
	src := filepath.Join(dir, "a.c")
	require.NoError(t, os.WriteFile(src, []byte("extern int g(const char *); static int calls; int f(void) { calls++; return g(\"x\") + 1; }\n"), 0o644))
	out := filepath.Join(dir, "a.o")
	require.NoError(t, exec.Command(gcc, "-O2", "-ffunction-sections", "-fdata-sections", "-c", "-o", out, src).Run())
	o, err := Open(out)
	require.NoError(t, err)
	text := o.Section(".text.f")
	require.NotNil(t, text)
	require.Len(t, text.Relocs, 3)
}
