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
		{TracedFunction: observe.TracedFunction{Object: "driver", Name: "h"}, filter: []string{"h:mod:driver"}, patches: []replacement{{"fix", "new_h"}}, unseen: "two of them"},
	}
	tracer.symbols.modules["fix"] = &module{name: "fix", sites: 3}
	total := filepath.Join(tracefs, "dyn_ftrace_total_info")

	require.Equal(t, []string{"*:mod:fix"}, tracer.expected("fix"), "a kernel that does not tell how many there are")
	require.NoError(t, os.WriteFile(total, []byte("pages: none"), 0o644))
	require.Equal(t, []string{"*:mod:fix"}, tracer.expected("fix"))
	require.NoError(t, os.WriteFile(total, []byte("48213 pages:281 groups: 60\n"), 0o644))
	require.Equal(t, []string{"48214:mod:fix", "48215:mod:fix", "48216:mod:fix"}, tracer.expected("fix"))
	require.Equal(t, []string{"g:mod:driver"}, tracer.expected("driver"))
	require.Empty(t, tracer.expected("stranger"))

	tracer.symbols.modules["fix"].sites = mostSites + 1
	require.Equal(t, []string{"*:mod:fix"}, tracer.expected("fix"))
	tracer.symbols.modules["fix"].sites = 0
	require.Equal(t, []string{"*:mod:fix"}, tracer.expected("fix"), "its file does not say how many there are")
}
