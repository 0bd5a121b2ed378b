// SPDX-License-Identifier: Apache-2.0

package check

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGoldenLogs reads console logs of our own guests (from cases/oracle_test
// and death_test) and compares the reports found with those beside them.
func TestGoldenLogs(t *testing.T) {
	logs, err := filepath.Glob("testdata/*.log")
	require.NoError(t, err)
	require.NotEmpty(t, logs)
	for _, path := range logs {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
			var got strings.Builder
			reports := Reports(lines)
			for _, r := range reports {
				fmt.Fprintf(&got, "%s: %s (line %d, %d lines)\n", r.Kind, r.Title, r.Line+1, len(r.Text))
			}
			golden := strings.TrimSuffix(path, ".log") + ".golden"
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(got.String()), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), got.String())

			// Read again from its first line, a report is found again.
			for _, r := range reports {
				again := Reports(lines[r.Line:])
				require.NotEmpty(t, again)
				require.Equal(t, r.Title, again[0].Title)
			}
			// What stands before the first report holds none.
			if len(reports) > 0 {
				require.Empty(t, Reports(lines[:reports[0].Line]))
			}
		})
	}
}

// TestReportFormats walks the table: each row names a line of the kind that
// its source prints, and no row before it takes that line away.
func TestReportFormats(t *testing.T) {
	for _, c := range []struct{ line, kind, title string }{
		{"BUG: KASAN: slab-use-after-free in f+0x1/0x2", "kasan", "KASAN: slab-use-after-free in f"},
		{"BUG: KFENCE: use-after-free read in f", "kasan", "KFENCE: use-after-free read in f"},
		{"UBSAN: array-index-out-of-bounds in fs/x.c:12:3", "ubsan", "UBSAN: array-index-out-of-bounds in fs/x.c"},
		{"watchdog: BUG: soft lockup - CPU#1 stuck for 26s! [spin:88]", "lockup", "soft lockup in task spin"},
		{"watchdog: Watchdog detected hard LOCKUP on cpu 0", "lockup", "hard lockup"},
		{"BUG: workqueue lockup - pool cpus=0 node=0", "lockup", "workqueue lockup"},
		{"BUG: kernel NULL pointer dereference, address: 0000000000000008", "oops", "kernel NULL pointer dereference"},
		{"BUG: unable to handle page fault for address: ffffc90000000000", "oops", "unable to handle page fault"},
		{"kernel BUG at mm/slub.c:435!", "oops", "kernel BUG at mm/slub.c"},
		{"Kernel BUG at complain_bug+0x9/0x10 [complain] [verbose debug info unavailable]", "oops", "kernel BUG at complain_bug"},
		{"general protection fault, probably for non-canonical address 0xdead: 0000 [#1]", "oops", "general protection fault"},
		{"int3: 0000 [#1] PREEMPT SMP NOPTI", "oops", "int3"},
		{"kernel tried to execute NX-protected page - exploit attempt? (uid: 0)", "oops", "execution of a non-executable page"},
		{"BUG: scheduling while atomic: cat/97/0x00000002", "atomic", "scheduling while atomic in cat"},
		{"BUG: sleeping function called from invalid context at kernel/locking/mutex.c:580", "atomic", "sleeping in atomic context at kernel/locking/mutex.c"},
		{"BUG: Bad page state in process cat  pfn:12345", "memory", "bad page state"},
		{"list_del corruption. prev->next should be x, but was y", "memory", "list_del corruption"},
		{"BUG: something new", "bug", "BUG: something new"},
		{"WARNING: possible circular locking dependency detected", "lockdep", "lockdep: possible circular locking"},
		{"WARNING: CPU: 0 PID: 1 at kernel/x.c:12 f+0x1/0x2 [m]", "warning", "WARNING in f at kernel/x.c"},
		{"WARNING: kernel/x.c:12 at f+0x1/0x2, CPU#0: cat/97", "warning", "WARNING in f at kernel/x.c"},
		{"WARNING: stack recursion on stack type 4", "warning", "WARNING: stack recursion on stack type 4"},
		{"rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:", "rcu-stall", "stall of rcu_preempt"},
		{"rcu: INFO: rcu_sched self-detected stall on CPU", "rcu-stall", "stall of rcu_sched"},
		{"INFO: rcu_tasks detected stalls on tasks:", "rcu-stall", "stall of rcu_tasks"},
		{"rcu_tasks_wait_gp: rcu_tasks grace period number 9 (since boot) is 2503 jiffies old.", "rcu-stall", "rcu_tasks_wait_gp grace period does not end"},
		{"INFO: task cat:97 blocked for more than 120 seconds.", "hung-task", "task cat hung"},
		{"Oops: 0002 [#1] PREEMPT SMP", "oops", "oops"},
		{"Kernel panic - not syncing: Fatal exception", "panic", "panic: Fatal exception"},
	} {
		for _, prefix := range []string{"", "[    1.234567] ", "[    1.234567][   T97] ", "<4>[    1.234567] "} {
			got := Reports([]string{"some line", prefix + c.line})
			require.Len(t, got, 1, c.line)
			require.Equal(t, LogReport{Kind: c.kind, Title: c.title, Line: 1, Text: []string{prefix + c.line}}, got[0])
		}
	}
	sources := slices.ContainsFunc(reportFormats, func(f reportFormat) bool { return f.source == "" })
	require.False(t, sources, "a format without a source")
}

// TestHarmlessLines: what only sounds like a report.
func TestHarmlessLines(t *testing.T) {
	for _, line := range []string{
		"", "livepatch: enabling patch 'cmdline'", "debug: BUGS are fine", "Warning: unable to open an initial console.",
		"cmdline: loading out-of-tree module taints kernel.", "NMI watchdog: Perf NMI watchdog permanently disabled",
		"rcu: \tRCU debug extended QS entry/exit.", "Spectre V2 : WARNING: Unprivileged eBPF is enabled",
	} {
		require.Empty(t, Reports([]string{line}), line)
	}
}

func FuzzReports(f *testing.F) {
	f.Add("BUG: x\n---[ end trace\nWARNING: y")
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Split(text, "\n")
		for _, r := range Reports(lines) {
			require.Less(t, r.Line, len(lines))
			require.NotEmpty(t, r.Text)
		}
	})
}
