// SPDX-License-Identifier: Apache-2.0

package patch_test

import (
	"bytes"
	"debug/elf"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// TestORCIsObjtools: the unwind tables that the btf route makes of the
// compiler's directives are those that the kernel's own objtool finds by
// disassembling the same module. The two may differ only where no code is:
// objtool marks the padding between functions as unknown.
func TestORCIsObjtools(t *testing.T) {
	b, kits := bench(t, t.TempDir())
	for _, kit := range kits {
		tools := filepath.Join(kit.Dir, "usr/lib/linux-kbuild-*/tools/objtool/objtool")
		found, err := filepath.Glob(tools + ".real-x86")
		require.NoError(t, err)
		if len(found) == 0 { // older ones have one architecture
			found, err = filepath.Glob(tools)
			require.NoError(t, err)
		}
		require.Len(t, found, 1, "objtool of %s", kit.Release)
		root, err := b.Root(t.Context())
		require.NoError(t, err)
		for _, path := range []string{"../../cases/testdata/hold/with", "../../cases/testdata/shadow", "../../cases/testdata/complain", "testdata/frames"} {
			t.Run(kit.Release+"/"+filepath.Base(path), func(t *testing.T) {
				m := buildBy(t, b, patch.RouteBTF, path, kit)
				work := t.TempDir()
				var log bytes.Buffer
				strip := "objcopy"
				for _, s := range []string{".orc_unwind", ".orc_unwind_ip", ".rela.orc_unwind_ip", ".orc_header", ".return_sites", ".rela.return_sites", ".retpoline_sites", ".rela.retpoline_sites"} {
					strip += " -R " + s
				}
				err := root.Run(t.Context(), toolroot.Job{
					Argv:   []string{"sh", "-ec", strip + " /build/module.ko /build/bare.o\n" + runObjtool},
					Stdout: &log, Stderr: &log,
					Mounts: []toolroot.Bind{
						{Host: work, Inside: "/build", Writable: true},
						{Host: m.Path, Inside: "/build/module.ko"},
						{Host: found[0], Inside: "/objtool/objtool"},
					},
				})
				require.NoError(t, err, log.String())
				ours, theirs := orc(t, m.Path), orc(t, filepath.Join(work, "bare.o"))
				require.NotEmpty(t, theirs)
				last := "" // objtool's word for the place before
				for _, at := range places(ours, theirs) {
					a, mine := ours[at]
					b, its := theirs[at]
					switch {
					case mine && its && b == unknownFrame, mine && !its && last == unknownFrame:
						// 5.10's gives up on what is behind a WARN's ud2.
					case mine && its:
						require.Equal(t, b, a, at)
					case mine: // two of ours where objtool needs but one
						require.Equal(t, last, a, at)
					case b != unknownFrame: // and the other way round, behind padding
						require.Equal(t, under(ours, at), b, at)
					}
					if its {
						last = b
					}
				}
			})
		}
	}
}

// runObjtool knows the command line of 5.10 as well.
const runObjtool = `
if /objtool/objtool --help 2>&1 | grep -q "orc .*Generate"; then
	exec /objtool/objtool orc generate --module --retpoline /build/bare.o
fi
exec /objtool/objtool --orc --retpoline --rethunk --link --module /build/bare.o
`

const unknownFrame = "000000000000"

// orc reads a module's ORC tables: entry, in hex, by place.
func orc(t *testing.T, path string) map[string]string {
	t.Helper()
	f, err := elf.Open(path)
	require.NoError(t, err)
	defer f.Close()
	symbols, err := f.Symbols()
	require.NoError(t, err)
	entries := content(t, f, ".orc_unwind")
	all := map[string]string{}
	for raw := content(t, f, ".rela.orc_unwind_ip"); len(raw) >= 24; raw = raw[24:] {
		at, info := f.ByteOrder.Uint64(raw), f.ByteOrder.Uint64(raw[8:])
		symbol := symbols[elf.R_SYM64(info)-1]
		place := fmt.Sprintf("%s+%06x", f.Sections[symbol.Section].Name, symbol.Value+f.ByteOrder.Uint64(raw[16:]))
		entry := fmt.Sprintf("%x", entries[at/4*6:at/4*6+6])
		if entry == unknownFrame && all[place] != "" {
			continue // the end of a section and the start of the next
		}
		all[place] = entry
	}
	return all
}

// places are those of both tables, in order.
func places(a, b map[string]string) []string {
	all := map[string]bool{}
	for _, m := range []map[string]string{a, b} {
		for at := range m {
			all[at] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

// under is the entry that holds for a place.
func under(table map[string]string, at string) string {
	section, _, _ := strings.Cut(at, "+")
	found := unknownFrame
	for _, p := range slices.Sorted(maps.Keys(table)) {
		if strings.HasPrefix(p, section+"+") && p <= at {
			found = table[p]
		}
	}
	return found
}
