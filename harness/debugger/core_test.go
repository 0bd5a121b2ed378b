// SPDX-License-Identifier: Apache-2.0

package debugger

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"
)

// note is an ELF note, and what follows it in a page.
func note(name, desc string) []byte {
	out := binary.LittleEndian.AppendUint32(nil, uint32(len(name)+1))
	out = binary.LittleEndian.AppendUint32(out, uint32(len(desc)))
	out = binary.LittleEndian.AppendUint32(out, 0)
	for _, s := range []string{name + "\x00", desc} {
		out = append(out, s...)
		for len(out)%4 != 0 {
			out = append(out, 0)
		}
	}
	return out
}

// TestTrimNote: the kernel's note is taken without the rest of its page, and
// nothing else is taken for one.
func TestTrimNote(t *testing.T) {
	whole := note("VMCOREINFO", "OSRELEASE=6.1.0\nx")
	got, err := trimNote(append(append([]byte{}, whole...), make([]byte, 100)...))
	require.NoError(t, err)
	require.Equal(t, whole, got)
	for name, bad := range map[string][]byte{
		"nothing": nil, "zeros": make([]byte, 4096), "cut off": whole[:len(whole)-4], "another's": note("CORE", "x"),
		"a size beyond all": append([]byte{11, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, "VMCOREINFO\x00\x00"...),
	} {
		_, err := trimNote(bad)
		require.Error(t, err, name)
	}
}

func TestQuote(t *testing.T) {
	require.Equal(t, `"/a b/\"c\\d"`, quote(`/a b/"c\d`))
}
