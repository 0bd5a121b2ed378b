// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch/btf"
)

func TestOpenInstrument(t *testing.T) {
	s, err := Open("count:vfs_read,ext4:ext4_sync_file,helper/2,ext4:ext4_map_blocks,snd-pcm:f.isra.0")
	require.NoError(t, err)
	require.Equal(t, Instrument, s.Kind)
	require.Equal(t, btf.Count, s.instrument.what)
	require.Equal(t, "count_vfs_read_and_4", s.Name)
	// Functions of one object stand together, in the order of the first ones.
	require.Equal(t, []Function{
		{Object: "vmlinux", Name: "vfs_read"}, {Object: "vmlinux", Name: "helper", Sympos: 2},
		{Object: "ext4", Name: "ext4_sync_file"}, {Object: "ext4", Name: "ext4_map_blocks"},
		{Object: "snd_pcm", Name: "f.isra.0"},
	}, s.instrument.functions)
	require.Equal(t, "count:vfs_read,helper/2,ext4:ext4_sync_file,ext4:ext4_map_blocks,snd_pcm:f.isra.0", s.instrument.String())

	for path, wants := range map[string]string{
		"count:":       "is no function",
		"time:a b":     "is no function",
		"time:a,,b":    "is no function",
		"count:f/0":    "is no function",
		"count:a:b:c":  "is no function",
		"count:../etc": "is no function",
		"time:f,f":     "named twice",
		"measure:f":    "no such file",
		InstrumentPath(btf.Time, numbered(btf.MostInstrumented+1)): "at most",
	} {
		_, err := Open(path)
		var input *InputError
		require.ErrorAs(t, err, &input, path)
		require.Contains(t, err.Error(), wants)
	}
}

func numbered(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("f%d", i))
	}
	return all
}

func TestReadMeasured(t *testing.T) {
	m := &Module{Name: "m", Manifest: Manifest{Instrument: btf.Time, Functions: []Function{{Name: "f"}, {Name: "g"}}}}
	files := map[string]string{"calls": "2,0\n", "started": "3,0\n", "total": "5000000,0\n", "longest": "4000000,0\n", "khz": "2000000\n"}
	read := func(path string) ([]byte, error) {
		text, ok := files[strings.TrimPrefix(path, "/sys/module/m/parameters/")]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return []byte(text), nil
	}
	all, err := m.ReadMeasured(read)
	require.NoError(t, err)
	require.Equal(t, []Measured{
		{Function: Function{Name: "f"}, Timed: true, Calls: 2, Started: 3, Total: 2500 * time.Microsecond, Longest: 2 * time.Millisecond},
		{Function: Function{Name: "g"}, Timed: true},
	}, all)
	require.Equal(t, 1250*time.Microsecond, all[0].Mean())
	require.Zero(t, all[1].Mean())

	for name, text := range map[string]string{"calls": "2", "started": "x,0", "khz": "0", "total": ""} {
		was := files[name]
		files[name] = text
		_, err := m.ReadMeasured(read)
		require.Error(t, err, name)
		files[name] = was
	}
	delete(files, "longest")
	_, err = m.ReadMeasured(read)
	require.ErrorIs(t, err, fs.ErrNotExist)
}
