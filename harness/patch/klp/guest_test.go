// SPDX-License-Identifier: Apache-2.0

package klp_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness"
	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/harness/patch/klp"
	"github.com/switchyard-project/switchyard/kernels"
)

// TestImage patches a function of the kernel's image by one that uses what
// the kernel keeps to itself, and that stands in each of the tables that the
// kernel goes through when it loads code.
func TestImage(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		code := compile(t, k, "testdata/cmdline.c")
		path, err := klp.Build(t.Context(), deps(t), k, klp.Module{Name: "klp_image", Parts: []klp.Part{{
			Object: klp.VMLinux, Code: code,
			Functions: []klp.Function{{Old: "cmdline_proc_show", New: "cmdline_proc_show"}},
			Symbols:   unexported(t, k, code, klp.VMLinux),
		}}})
		require.NoError(t, err)
		t.Log(path)

		vm := harness.Boot(t, k)
		old := strings.TrimSpace(vm.ReadFile(t, "/proc/cmdline"))
		p := vm.Apply(t, path).Expect(t, check.Complete)
		require.Equal(t, old+" new 1 key 1 fault 2\n", vm.ReadFile(t, "/proc/cmdline"))
		// The tracepoint of the kernel's, called by the patch.
		const events = "/sys/kernel/tracing/"
		vm.WriteFile(t, events+"events/task/task_rename/enable", "1")
		vm.ReadFile(t, "/proc/cmdline")
		vm.WriteFile(t, events+"events/task/task_rename/enable", "0")
		require.Contains(t, vm.ReadFile(t, events+"trace"), "newcomm=switchyard")

		p.Revert(t).Expect(t, check.Complete)
		require.Equal(t, old+"\n", vm.ReadFile(t, "/proc/cmdline"))
		p.Unload(t)
	})
}
