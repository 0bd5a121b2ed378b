// SPDX-License-Identifier: Apache-2.0

package runpre

import (
	"path"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch/object"
	"github.com/switchyard-project/switchyard/harness/patch/tree"
	"github.com/switchyard-project/switchyard/harness/patch/tree/treetest"
)

// TestShippedKernel compares files of kernels that a distribution built, whose
// images have no symbol table: every function must be found.
func TestShippedKernel(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles with the real tool root")
	}
	for _, tr := range treetest.Trees(t) {
		t.Run(tr.Kit.Release, func(t *testing.T) {
			im, err := OpenImage(tr.Kit)
			require.NoError(t, err)
			for _, source := range []string{"fs/proc/cmdline.c", "fs/namei.c", "net/core/dev.c", "kernel/sys.c", "fs/fat/dir.c", "fs/fat/namei_vfat.c"} {
				units, err := tr.Units(t.Context(), source)
				require.NoError(t, err)
				compiled, err := tr.Compile(t.Context(), tree.Job{Units: units})
				require.NoError(t, err)
				for _, c := range compiled {
					o, err := object.Open(c.Path)
					require.NoError(t, err)
					report, err := Match(o, im, c.Object)
					require.NoError(t, err)
					checkShipped(t, path.Base(source), report)
				}
			}
		})
	}
}

// weak are functions of these files that the architecture has its own of.
var weak = map[string]bool{"arch_prctl_spec_ctrl_get": true, "arch_prctl_spec_ctrl_set": true}

func checkShipped(t *testing.T, source string, report *Report) {
	t.Helper()
	same := 0
	for _, f := range report.Functions {
		if f.OK {
			same++
			continue
		}
		if !weak[f.Name] {
			t.Errorf("%s: %s+%#x: %s", source, f.Name, f.Offset, f.Why)
		}
	}
	named := 0
	for _, p := range report.Symbols {
		if p.Name != "" {
			named++
		}
	}
	t.Logf("%s of %s: %d of %d functions, %d symbols", source, report.Object, same, len(report.Functions), named)
}
