// SPDX-License-Identifier: Apache-2.0

package run

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch"
)

// TestNotHooked: a function counts as hooked only by somebody who may change
// where its calls go. The lines are those of 6.6 and of 5.10.
func TestNotHooked(t *testing.T) {
	const text = "klp_complete_transition (1)           \ttramp: 0xffffffffc0000000 (function_trace_call+0x0/0x160) ->function_trace_call+0x0/0x160\n" +
		"cmdline_proc_show (1)   I     M \ttramp: 0xffffffffc000c000 (klp_ftrace_handler+0x0/0x170) ->klp_ftrace_handler+0x0/0x170\n" +
		"loadavg_proc_show (1) R         \ttramp: 0xffffffffc0002000 (kprobe_ftrace_handler+0x0/0x1f0) ->kprobe_ftrace_handler+0x0/0x1f0\n" +
		"Iuptime_show (2) R I  \ttramp: 0xffffffffc0002000\n" +
		"IPv4_show (1) R   \ttramp: 0xffffffffc0002000\n" +
		"contexts_touch [switchyard_contexts] (2) R I     M \ttramp: 0xffffffffc000e000 (klp_ftrace_handler+0x0/0x170) ->klp_ftrace_handler+0x0/0x170\n" +
		"contexts_idle [switchyard_contexts] (1)           \ttramp: 0xffffffffc0000000 (function_trace_call+0x0/0x160) ->function_trace_call+0x0/0x160\n"
	of := func(object, name string) []patch.Function {
		return []patch.Function{{Object: object, Name: name, NewName: name}}
	}
	require.Empty(t, notIn(text, of("vmlinux", "cmdline_proc_show")))
	require.Empty(t, notIn(text, of("vmlinux", "Iuptime_show")))
	for _, name := range []string{"klp_complete_transition", "loadavg_proc_show", "IPv4_show", "absent"} {
		missing := notIn(text, of("vmlinux", name))
		require.Len(t, missing, 1, name)
		require.Contains(t, missing[0], name+"()")
	}
	require.Empty(t, notIn(text, of("switchyard_contexts", "contexts_touch")))
	for _, f := range [][]patch.Function{
		of("vmlinux", "contexts_touch"), of("another", "contexts_touch"), of("switchyard_contexts", "contexts_idle"), of("switchyard_contexts", "cmdline_proc_show"),
	} {
		require.Len(t, notIn(text, f), 1, "%v", f)
	}
}
