// SPDX-License-Identifier: Apache-2.0

package calls

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// TestExpected: of a patch that is about to be loaded all functions are
// selected by the numbers that follow those that are there; by a pattern where
// that cannot be, or would be too many; of a module that is patched those only
// that are.
func TestExpected(t *testing.T) {
	tracefs := t.TempDir()
	tracer := New(Options{})
	tracer.instance = &instance{tracefs: tracefs}
	tracer.functions = []function{
		{TracedFunction: observe.TracedFunction{Object: "vmlinux", Name: "f"}, patches: []replacement{{"fix", "new_f"}}},
		{TracedFunction: observe.TracedFunction{Object: "driver", Name: "g"}, filter: []string{"g:mod:driver"}, patches: []replacement{{"fix", "new_g"}}},
		{TracedFunction: observe.TracedFunction{Object: "driver", Name: "h"}, filter: []string{"h:mod:driver"}, patches: []replacement{{"fix", "new_h"}}},
	}
	tracer.symbols.modules["fix"] = &module{name: "fix", sites: 3}
	total := filepath.Join(tracefs, "dyn_ftrace_total_info")

	require.Equal(t, []string{"*:mod:fix"}, tracer.expected("fix"), "a kernel that does not tell how many there are")
	require.NoError(t, os.WriteFile(total, []byte("pages: none"), 0o644))
	require.Equal(t, []string{"*:mod:fix"}, tracer.expected("fix"))
	require.NoError(t, os.WriteFile(total, []byte("48213 pages:281 groups: 60\n"), 0o644))
	require.Equal(t, []string{"48214:mod:fix", "48215:mod:fix", "48216:mod:fix"}, tracer.expected("fix"))
	tracer.functions[2].unseen = "two of them"
	require.Equal(t, []string{"g:mod:driver"}, tracer.expected("driver"))
	require.Equal(t, []string{"new_f:mod:fix", "new_g:mod:fix"}, tracer.expected("fix"), "one that was given up for its many calls does not come back")
	tracer.functions[2].unseen = ""
	require.Empty(t, tracer.expected("stranger"))

	tracer.symbols.modules["fix"].sites = mostSites + 1
	require.Equal(t, []string{"*:mod:fix"}, tracer.expected("fix"))
	tracer.symbols.modules["fix"].sites = 0
	require.Equal(t, []string{"*:mod:fix"}, tracer.expected("fix"), "its file does not say how many there are")
}

// TestStrangers: a function whose module somebody else loaded is told of, once.
func TestStrangers(t *testing.T) {
	sys := t.TempDir()
	tracer := New(Options{Sys: sys})
	var told []map[string]string
	tracer.emit = func(e observe.Event) { told = append(told, e.Tracing.Unseen) }
	tracer.functions = []function{
		{TracedFunction: observe.TracedFunction{Object: "vmlinux", Name: "f"}},
		{TracedFunction: observe.TracedFunction{Object: "boot", Name: "g"}},
		{TracedFunction: observe.TracedFunction{Object: "theirs", Name: "h"}},
	}
	tracer.There("boot", "/lib/boot.ko")
	tracer.findStrangers()
	require.Empty(t, told)
	for _, m := range []string{"boot", "theirs"} {
		require.NoError(t, os.MkdirAll(filepath.Join(sys, "module", m, "sections"), 0o755))
	}
	tracer.findStrangers()
	tracer.findStrangers()
	require.Len(t, told, 1)
	require.Contains(t, told[0]["theirs:h"], "loaded by somebody else")
	require.Len(t, told[0], 1)
}

// TestRefused: what was to be traced of a module that the kernel refused is
// taken back, and nothing where it was there already, or is nobody's.
func TestRefused(t *testing.T) {
	root := t.TempDir()
	filter := filepath.Join(root, "set_ftrace_filter")
	require.NoError(t, os.WriteFile(filter, nil, 0o644))
	tracer := New(Options{Sys: root})
	tracer.instance = &instance{tracefs: root, dir: root}
	tracer.functions = []function{{TracedFunction: observe.TracedFunction{Object: "driver", Name: "f"}, patches: []replacement{{"fix", "new_f"}}}}
	tracer.pairs = newPairing(context, trampoline, func(call) {})
	tracer.symbols.modules["driver"] = &module{name: "driver", functions: []moduleFunction{{name: "f", section: ".text", size: 8}}}
	require.NoError(t, os.MkdirAll(filepath.Join(root, "module/driver/sections"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(root, "module/driver/sections/.text"), []byte("0xffffffffc0001000"), 0o644))
	for _, name := range []string{"fix", "stranger", "driver"} {
		tracer.Refused(name)
	}
	words, err := os.ReadFile(filter)
	require.NoError(t, err)
	require.Equal(t, "!*:mod:fix\n", string(words))
}

// TestOver: a task that sleeps has nothing to tell any more, unless a record of
// it is held back; one that runs may.
func TestOver(t *testing.T) {
	proc := t.TempDir()
	for tid, state := range map[string]string{"7": "S", "8": "R"} {
		require.NoError(t, os.MkdirAll(filepath.Join(proc, tid), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(proc, tid, "stat"), []byte(tid+" (cat) "+state+" 1"), 0o644))
	}
	tracer := New(Options{Proc: proc})
	tracer.instance, tracer.counts = &instance{}, newCounts(0, tracer.traced)
	require.True(t, tracer.over(stackKey{inTask, 7}))
	require.False(t, tracer.over(stackKey{inTask, 8}))
	require.True(t, tracer.over(stackKey{inTask, 9}), "it is gone")
	tracer.held = []record{entry(7, 1), {kind: born, pid: 9}}
	require.False(t, tracer.over(stackKey{inTask, 7}))
	require.True(t, tracer.over(stackKey{inTask, 9}))
}
