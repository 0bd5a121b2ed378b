// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness"
	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/kernels"
)

// control is where dynamic debugging is switched.
const control = "/proc/dynamic_debug/control"

// TestDebugMessages: messages that a diff adds are switched on and off as those
// of the kernel are, in the image's code and in a module's, and data of each
// CPU's that comes with a module's code is kept.
func TestDebugMessages(t *testing.T) {
	const path = "testdata/diffs/debug/module-messages.patch"
	messages := []struct{ function, read, text, shown string }{
		{"pgctrl_show", "/proc/net/pktgen/pgctrl", "pgctrl is read", `\nread [1-9]\d* times\n$`},
		{"version_proc_show", "/proc/version", "version is read", `\nwith messages\n$`},
	}
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		withSource(t, k)
		if refusals := harness.Refused(t, k, path); len(refusals) > 0 {
			require.Equal(t, "not-built", string(refusals[0].Code), "%v", refusals[0])
			return
		}
		vm := harness.Boot(t, k)
		require.NoError(t, vm.InsertOwn(t, "pktgen"))
		described := func(function, text string) bool {
			return slices.ContainsFunc(strings.Split(vm.ReadFile(t, control), "\n"), func(line string) bool {
				return strings.Contains(line, function) && strings.Contains(line, text)
			})
		}
		said := func(text string) (n int) {
			for _, line := range vm.KernelLogFenced(t) {
				if strings.Contains(line, text) {
					n++
				}
			}
			return n
		}
		p := vm.Apply(t, path).Expect(t, check.Complete)
		for _, m := range messages {
			require.True(t, described(m.function, m.text), "%s has no %q", control, m.text)
			require.Regexp(t, m.shown, vm.ReadFile(t, m.read))
			require.Zero(t, said(m.text), "a message that nobody switched on")
			vm.WriteFile(t, control, "func "+m.function+" +p")
			require.Regexp(t, m.shown, vm.ReadFile(t, m.read))
			require.Equal(t, 1, said(m.text))
			vm.WriteFile(t, control, "func "+m.function+" -p")
			vm.ReadFile(t, m.read)
			require.Equal(t, 1, said(m.text))
		}
		p.Revert(t).Expect(t, check.Complete)
		p.Unload(t)
		for _, m := range messages {
			require.False(t, described(m.function, m.text), "the descriptor outlives the patch")
		}
	})
}
