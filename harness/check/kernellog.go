// SPDX-License-Identifier: Apache-2.0

// Package check turns what was observed into verdicts: the kernel-log oracle,
// the judgement of a run, what a case may expect.
//
// What must not live here: anything about QEMU, the channel or how a guest is
// driven. Everything is a function of the evidence.
package check

import (
	"regexp"
	"strings"
)

// LogReport is one report by the kernel that something is wrong.
type LogReport struct {
	Kind  string   `json:"kind"`  // "warning", "oops", … (see reportFormats)
	Title string   `json:"title"` // one line without addresses and numbers that differ between runs
	Line  int      `json:"line"`  // index of its first line in the log given
	Text  []string `json:"text"`  // that line and what follows, up to maxReportLines
}

const maxReportLines = 120

// reportFormat is one way in which a kernel complains.
type reportFormat struct {
	kind    string
	pattern *regexp.Regexp
	title   string // with $1… of the pattern
	source  string
}

// reportFormats is how kernels word their complaints: the first pattern that
// matches a line names it. Specific ones stand before general ones. Source is
// where the kernel prints it.
var reportFormats = []reportFormat{
	{"kasan", regexp.MustCompile(`BUG: KASAN: (\S+) in (\w+)`), "KASAN: $1 in $2", "mm/kasan/report.c"},
	{"kasan", regexp.MustCompile(`BUG: (KFENCE|KMSAN|KCSAN): (.*)`), "$1: $2", "mm/kfence/report.c"},
	{"ubsan", regexp.MustCompile(`UBSAN: (\S+) in (\S+?)(?::\d+)*$`), "UBSAN: $1 in $2", "lib/ubsan.c"},
	{"lockup", regexp.MustCompile(`watchdog: BUG: soft lockup - CPU#\d+ stuck for \d+s! \[([^:\]]+)`), "soft lockup in task $1", "kernel/watchdog.c"},
	{"lockup", regexp.MustCompile(`(?i)watchdog detected hard lockup`), "hard lockup", "kernel/watchdog.c, kernel/watchdog_perf.c"},
	{"lockup", regexp.MustCompile(`BUG: workqueue lockup`), "workqueue lockup", "kernel/workqueue.c"},
	{"oops", regexp.MustCompile(`BUG: (kernel NULL pointer dereference|unable to handle (?:page fault|kernel paging request|kernel NULL pointer dereference))`), "$1", "arch/x86/mm/fault.c"},
	{"oops", regexp.MustCompile(`kernel BUG at (\S+?):\d+!`), "kernel BUG at $1", "lib/bug.c"},
	{"oops", regexp.MustCompile(`Kernel BUG at (\S+?)\+0x`), "kernel BUG at $1", "lib/bug.c, without CONFIG_DEBUG_BUGVERBOSE"},
	{"oops", regexp.MustCompile(`(general protection fault|double fault|invalid opcode|divide error|stack segment|int3|Missing ENDBR|traps: Missing ENDBR)[:,]? `), "$1", "arch/x86/kernel/traps.c"},
	{"oops", regexp.MustCompile(`kernel tried to execute NX-protected page`), "execution of a non-executable page", "arch/x86/mm/fault.c"},
	{"atomic", regexp.MustCompile(`BUG: scheduling while atomic: ([^/]+)`), "scheduling while atomic in $1", "kernel/sched/core.c"},
	{"atomic", regexp.MustCompile(`BUG: sleeping function called from invalid context at (\S+?):\d+`), "sleeping in atomic context at $1", "kernel/sched/core.c"},
	{"memory", regexp.MustCompile(`BUG: Bad (page state|rss-counter state|page map)`), "bad $1", "mm/page_alloc.c, kernel/fork.c"},
	{"memory", regexp.MustCompile(`(list_(?:add|del) corruption)`), "$1", "lib/list_debug.c"},
	{"bug", regexp.MustCompile(`\bBUG: (.*)`), "BUG: $1", "include/asm-generic/bug.h"},
	{"lockdep", regexp.MustCompile(`WARNING: (possible (?:circular|recursive) locking|inconsistent lock state|bad unlock balance|suspicious RCU usage|possible irq lock inversion)`), "lockdep: $1", "kernel/locking/lockdep.c"},
	// Up to 6.18: WARNING: CPU: 0 PID: 1 at FILE:LINE FUNCTION+0x…
	{"warning", regexp.MustCompile(`WARNING: CPU: \d+ PID: \d+ at (\S+?):\d+ ([\w.]+)\+0x`), "WARNING in $2 at $1", "kernel/panic.c"},
	// From 6.19: WARNING: FILE:LINE at FUNCTION+0x…, CPU#0: TASK/1
	{"warning", regexp.MustCompile(`WARNING: (?:\[.*\] )?(\S+?):\d+ at ([\w.]+)\+0x`), "WARNING in $2 at $1", "kernel/panic.c"},
	{"warning", regexp.MustCompile(`\bWARNING: (.*)`), "WARNING: $1", "kernel/panic.c"},
	{"rcu-stall", regexp.MustCompile(`rcu: INFO: (rcu_\w+) (?:self-)?detected`), "stall of $1", "kernel/rcu/tree_stall.h"},
	{"rcu-stall", regexp.MustCompile(`INFO: (rcu_tasks\w*) detected stalls`), "stall of $1", "kernel/rcu/tasks.h"},
	{"rcu-stall", regexp.MustCompile(`(rcu_tasks\w*): rcu_tasks\w* grace period (?:number )?.* is \d+ jiffies old`), "$1 grace period does not end", "kernel/rcu/tasks.h"},
	{"hung-task", regexp.MustCompile(`INFO: task ([^:]+):\d+ blocked for more than \d+ seconds`), "task $1 hung", "kernel/hung_task.c"},
	{"oops", regexp.MustCompile(`Oops: `), "oops", "arch/x86/kernel/dumpstack.c"},
	{"panic", regexp.MustCompile(`Kernel panic - not syncing: (.*)`), "panic: $1", "kernel/panic.c"},
}

// harmless are lines that match a format above and report nothing.
var harmless = []*regexp.Regexp{
	// A notice about a setting, arch/x86/kernel/cpu/bugs.c.
	regexp.MustCompile(`Spectre V2 : WARNING:`),
}

// endOfTrace is the line with which reports end.
var endOfTrace = regexp.MustCompile(`---\[ end `)

// stamp is what may stand before the kernel's words: host time of the serial
// log, log level, printk's time and caller.
var stamp = regexp.MustCompile(`^(?:<\d+>)?\[\s*\d+\.\d+\](?:\[\s*[TC]\d+\])? ?`)

// Reports finds what the kernel reported in its log (lines of dmesg or of the
// serial console), first to last. An oops counts once: the lines that belong
// to a report are its text.
func Reports(lines []string) []LogReport {
	var all []LogReport
	for i := 0; i < len(lines); i++ {
		r, ok := reportAt(lines, i)
		if !ok {
			continue
		}
		all = append(all, r)
		i += len(r.Text) - 1
	}
	return all
}

func reportAt(lines []string, i int) (LogReport, bool) {
	text := stamp.ReplaceAllString(strings.TrimRight(lines[i], "\r\n"), "")
	for _, h := range harmless {
		if h.MatchString(text) {
			return LogReport{}, false
		}
	}
	for _, f := range reportFormats {
		m := f.pattern.FindStringSubmatchIndex(text)
		if m == nil {
			continue
		}
		title := string(f.pattern.ExpandString(nil, f.title, text, m))
		return LogReport{Kind: f.kind, Title: title, Line: i, Text: reportText(lines[i:])}, true
	}
	return LogReport{}, false
}

// reportText is the report that begins at lines[0]: to its end mark if there
// is one near, else the one line.
func reportText(lines []string) []string {
	n := min(len(lines), maxReportLines)
	for j := range n {
		if endOfTrace.MatchString(lines[j]) {
			return lines[:j+1]
		}
	}
	return lines[:1]
}
