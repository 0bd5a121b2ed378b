// SPDX-License-Identifier: Apache-2.0

package calls

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFreedInitCode holds that code is the module's that lies there now, where
// the init code of an earlier one lay: whichever name comes first.
func TestFreedInitCode(t *testing.T) {
	const at uint64 = 0xffffffffc0400000
	placed := func(name, function, section string) *module {
		return &module{name: name, placed: true, byAddress: []int{0}, functions: []moduleFunction{{name: function, section: section, address: at, size: 0x100}}}
	}
	for _, names := range [][2]string{{"witness", "a_fix"}, {"witness", "z_fix"}} {
		early, late := names[0], names[1]
		s := symbols{
			image: &image{addresses: []uint64{0xffffffff81000000}}, sys: t.TempDir(),
			files:   map[string]moduleFile{early: {}, late: {}},
			modules: map[string]*module{early: placed(early, "witness_init", ".init.text"), late: placed(late, "do_pipe2", ".text.do_pipe2")},
		}
		start, name := s.find(at + 4)
		require.Equal(t, at, start)
		require.Equal(t, "do_pipe2 ["+late+"]", name)

		delete(s.files, late) // while init code runs it is known by its name
		s.changed()
		_, name = s.find(at + 4)
		require.Equal(t, "witness_init [witness]", name)
	}
}
