// SPDX-License-Identifier: Apache-2.0

package tree_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestAssembly finds the assembly that a header reaches, and what becomes of it
// when the header changes.
func TestAssembly(t *testing.T) {
	const header, entry = "arch/x86/entry/calling.h", "arch/x86/entry/entry_64.S"
	for _, kit := range kits(t) {
		t.Run(kit.Release, func(t *testing.T) {
			tr := open(t, kit)
			reached, err := tr.Reach(t.Context(), header)
			require.NoError(t, err)
			sources, err := tr.Assembly(t.Context(), append(reached, "arch/x86/entry/entry_32.S", linkerScript))
			require.NoError(t, err)
			require.Contains(t, sources, entry)
			require.Contains(t, sources, linkerScript)
			require.NotContains(t, sources, "arch/x86/entry/entry_32.S", "it is of another configuration")

			// A register that is saved is named in what the assembler sees.
			text := read(t, tr, header)
			changed := strings.Replace(text, "xorl	%esi,  %esi", "xorl	%esi,  %esi; nop %switchyard", 1)
			require.NotEqual(t, text, changed)
			was, err := tr.Preprocess(t.Context(), sources, nil)
			require.NoError(t, err)
			is, err := tr.Preprocess(t.Context(), sources, map[string][]byte{header: []byte(changed)})
			require.NoError(t, err)
			require.Len(t, is, len(sources))
			differ := map[string]bool{}
			for i, s := range sources {
				assert.NotEmpty(t, was[i], "%s: the flags are not enough", s)
				differ[s] = was[i] != is[i]
				assert.Equal(t, differ[s], strings.Contains(is[i], "%switchyard"), s)
			}
			require.True(t, differ[entry])
			require.False(t, differ[linkerScript])
		})
	}
}

const linkerScript = "arch/x86/kernel/vmlinux.lds.S"
