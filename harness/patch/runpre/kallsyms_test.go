// SPDX-License-Identifier: Apache-2.0

package runpre

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/kernels"
)

func TestTmpAll(t *testing.T) {
	home, _ := os.UserHomeDir()
	dirs, _ := filepath.Glob(filepath.Join(home, ".cache/switchyard/kernels/*/kit.json"))
	for _, d := range dirs {
		kit, err := kernels.ReadKitFile(filepath.Dir(d))
		require.NoError(t, err)
		im, err := OpenImage(kit)
		if err != nil {
			t.Errorf("%s: %v", kit.Release, err)
			continue
		}
		dup := 0
		for _, x := range im.vmlinux.byName {
			if len(x) > 1 {
				dup++
			}
		}
		t.Log(kit.Release, len(im.vmlinux.symbols), dup, len(im.exports))
		for _, n := range []string{"_text", "schedule", "klp_enable_patch", "current_task", "pcpu_hot", "saved_command_line"} {
			ps, _ := im.Lookup(VMLinux, n)
			t.Log(n, ps)
		}
	}
}
