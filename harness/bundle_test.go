// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/report/bundle"
	"github.com/switchyard-project/switchyard/kernels"
)

// failing is a test that takes itself for failed.
type failing struct {
	*testing.T
	logged *[]string
}

func (failing) Failed() bool { return true }

func (f failing) Logf(format string, args ...any) {
	*f.logged = append(*f.logged, fmt.Sprintf(format, args...))
}

// TestFailedCaseLeavesBundle: a case that fails leaves one file with what there
// was of its guest, which says how to run the case again.
func TestFailedCaseLeavesBundle(t *testing.T) {
	if testing.Short() {
		t.Skip("boots a guest")
	}
	EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		var logged []string
		var dir string
		t.Run("case", func(t *testing.T) {
			f := failing{t, &logged}
			vm := Boot(f, k, Load("fork=1"))
			dir = vm.Dir
			vm.LoadsProgress(f)
			vm.Apply(f, "../cases/testdata/target")
		})
		defer os.RemoveAll(dir)
		file := filepath.Join(dir, bundle.FileName)
		require.Contains(t, logged, "bundle: "+file)
		o, err := bundle.Open(file, t.TempDir(), bundle.DefaultLimits)
		require.NoError(t, err)
		require.Equal(t, t.Name()+"/case", o.Case.Name)
		require.Contains(t, o.Case.Again, "-run '^TestFailedCaseLeavesBundle$' -kernel "+k.Release)
		require.Equal(t, k.Release, o.Kernel.Release)
		require.Len(t, o.Patches, 1)
		require.Equal(t, "target_show", o.Patches[0].Functions[0].Name)
		require.Len(t, o.With, 1)
		require.Equal(t, "switchyard_target", o.With[0].Name)
		require.Equal(t, "fork=1", o.Loads[0].String())
		for _, entry := range []string{o.Patches[0].File, o.With[0].File, "logs/timeline.jsonl", "logs/serial.log"} {
			info, err := os.Stat(o.File(entry))
			require.NoError(t, err)
			require.NotZero(t, info.Size(), entry)
		}
		source, err := os.ReadFile(filepath.Join(o.File(o.Patches[0].Source.Open), "target_patch.c"))
		require.NoError(t, err)
		require.True(t, strings.Contains(string(source), "patched_target_show"))
	})
}
