// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/performance"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/report"
)

// size is of logs that are made up.
type size struct{ samples, tasks, blockers, readings, lines int }

// largest is what a report is made for: 10,000 samples and 1,000 tasks, each
// looked at five times, and with it what a run of that length has.
var largest = size{samples: 10000, tasks: 1000, blockers: 1000, readings: 400, lines: 2000}

func (s size) times(n int) size {
	return size{n * s.samples, n * s.tasks, n * s.blockers, n * s.readings, n * s.lines}
}

// logs writes the logs of a stall of that size.
func (s size) logs(t testing.TB) string {
	t.Helper()
	dir := t.TempDir()
	var out bytes.Buffer
	e, events := json.NewEncoder(&out), 0
	add := func(event observe.Event) {
		event.Clock = observe.Guest
		require.NoError(t, e.Encode(event))
		events++
	}
	const step = 4e6 // ns, from one sample to the next
	add(observe.Event{T: 1, Kind: observe.KindWatch, Watch: &observe.Watch{Rounds: true}})
	add(observe.Event{T: 1, Kind: observe.KindAction, Action: &observe.Action{Name: "load", Detail: "doze"}})
	add(observe.Event{T: 2, Kind: observe.KindTransition, Transition: &observe.Transition{Patch: "doze", Edge: observe.EdgeStart, To: observe.Apply}})
	for i := range s.samples {
		add(observe.Event{T: int64(3 + i*step), Kind: observe.KindSample, Sample: &observe.Sample{Patch: "doze", To: observe.Apply, Left: s.tasks - i*s.tasks/s.samples, Total: s.tasks}})
	}
	span := int64(s.samples * step)
	at := func(i, of int) int64 { return 3 + int64(i)*(span/int64(of)) }
	for i := range 5 * s.tasks {
		b := s.blocker(i % s.tasks)
		b.Reason = observe.Waiting
		add(observe.Event{T: at(i, 5*s.tasks), Kind: observe.KindBlocker, Blocker: &b})
	}
	for i := range s.tasks - s.blockers {
		add(observe.Event{T: at(i, s.tasks), Kind: observe.KindTask, Task: &observe.Task{PID: i, TID: i, Comm: "a task with a name", KThread: true, State: 1}})
	}
	for id := 1; id <= 2; id++ {
		for i := range s.readings {
			l := observe.Load{ID: id, Name: "proc-readers", N: 2, Ops: uint64(i * (70 + i%7)), Latency: observe.Latency{-500 - int64(i%90), 60, -3, 7, -40, 3, -200, 1}}
			add(observe.Event{T: at(i, s.readings), Kind: observe.KindLoad, Load: &l})
		}
	}
	for i := range s.lines {
		add(observe.Event{T: at(i, s.lines), Kind: observe.KindKernelLog, KernelLog: &observe.KernelLog{Seq: uint64(i), Level: 6, Text: fmt.Sprintf("livepatch: a task with a name:%d is sleeping on function doze_nap", i)}})
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, observe.TimelineFile), out.Bytes(), 0o644))
	s.own(t, dir, events)
	return dir
}

// own writes the run's own log, with as many in the way at the end.
func (s size) own(t testing.TB, dir string, events int) {
	t.Helper()
	log, err := observe.Read("testdata/logs/stalled/run.jsonl")
	require.NoError(t, err)
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	for _, event := range log {
		switch f := event.Followed; {
		case event.Kind == observe.KindStarted || event.Kind == observe.KindFinal:
			continue
		case f != nil && f.To == observe.Apply:
			f.Events, f.Blockers = events, nil
			for i := range s.blockers {
				f.Blockers = append(f.Blockers, s.blocker(i))
			}
		case f != nil:
			continue
		case event.Over != nil:
			for id := 1; id <= 2; id++ {
				require.NoError(t, e.Encode(observe.Event{Clock: observe.Host, T: event.T, Kind: observe.KindStarted, Load: &observe.Load{ID: id, Name: "proc-readers"}}))
			}
		}
		require.NoError(t, e.Encode(event))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, observe.RunFile), out.Bytes(), 0o644))
}

func (s size) blocker(i int) observe.Blocker {
	return observe.Blocker{
		PID: 1 + i, TID: 1 + i, Comm: "a task with a name", Kind: observe.KThread, Reason: observe.Asleep, State: "S", Function: "doze_nap", Patched: true, Round: 3,
		Stack:     []string{fmt.Sprintf("wait_%d+0x1/0x2", i%50), "doze_nap+0x1b/0x30 [switchyard_doze]", "kthread+0xda/0x100", "ret_from_fork+0x22/0x30"},
		Witnesses: []string{observe.ByProc, observe.ByCore},
	}
}

// most is what each form of such a report may weigh.
const most = 5_000_000

var reportFiles = []string{"report.json", "report.html", "report.txt", "junit.xml", report.TraceFile}

// weigh gives the sizes of the files.
func weigh(t *testing.T, dir string) map[string]int64 {
	t.Helper()
	sizes := map[string]int64{}
	for _, name := range reportFiles {
		info, err := os.Stat(filepath.Join(dir, name))
		require.NoError(t, err)
		sizes[name] = info.Size()
	}
	return sizes
}

// TestLargeReport: a report of 10,000 samples and 1,000 tasks is at most 5 MB
// in each of its forms, and none of it is left out of report.json.
func TestLargeReport(t *testing.T) {
	dir := largest.logs(t)
	f, err := report.FromFolder(dir)
	require.NoError(t, err)
	run := f.Runs[0]
	require.Len(t, run.Transition.Apply.Samples, 10000)
	require.Len(t, run.Transition.Apply.Lanes, 1000)
	require.Len(t, run.Blockers, 1000)
	require.Len(t, run.Load[1].Readings, 400)
	require.Positive(t, run.Load[1].Readings[7].P99NS)
	require.NoError(t, f.SaveAll(dir))
	for name, size := range weigh(t, dir) {
		t.Logf("%s: %.2f MB", name, float64(size)/1e6)
		require.LessOrEqual(t, size, int64(most), name)
	}
}

// TestThousandsOfBlockers: the page, the text and what a CI system gets do not
// grow with those in the way; report.json has them all.
func TestThousandsOfBlockers(t *testing.T) {
	sizes := map[int]map[string]int64{}
	for _, n := range []int{1000, 5000} {
		s := size{samples: 10, tasks: n, blockers: n, readings: 2, lines: 1}
		dir := s.logs(t)
		f, err := report.FromFolder(dir)
		require.NoError(t, err)
		require.Len(t, f.Runs[0].Blockers, n)
		require.Equal(t, "stalled", f.Runs[0].Verdict)
		require.Less(t, len(f.Runs[0].Reason), 4000)
		require.NoError(t, f.SaveAll(dir))
		sizes[n] = weigh(t, dir)
		page, err := os.ReadFile(filepath.Join(dir, "report.html"))
		require.NoError(t, err)
		require.Contains(t, string(page), fmt.Sprintf("%d more are in report.json", n-200))
	}
	for _, name := range []string{"report.html", "report.txt", "junit.xml"} {
		require.InEpsilon(t, sizes[1000][name], sizes[5000][name], 0.02, name)
	}
}

// spent is the CPU time that this process took so far.
func spent(t testing.TB) time.Duration {
	t.Helper()
	var u unix.Rusage
	require.NoError(t, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// TestReportGrowsWithItsLogs: four times the logs take about four times the
// CPU time; what is done for each event with each event would take sixteen.
func TestReportGrowsWithItsLogs(t *testing.T) {
	cost := func(s size) time.Duration {
		dir := s.logs(t)
		least := time.Hour
		for range 3 {
			before := spent(t)
			f, err := report.FromFolder(dir)
			require.NoError(t, err)
			require.NoError(t, f.SaveAll(dir))
			least = min(least, spent(t)-before)
		}
		return least
	}
	half, whole := cost(largest), cost(largest.times(4))
	t.Logf("CPU time: %v; of four times as much: %v", half, whole)
	require.Less(t, whole, 9*half)
}

// BenchmarkLargeReport: the same, read and written.
func BenchmarkLargeReport(b *testing.B) {
	dir := largest.logs(b)
	before, runs := spent(b), 0
	for b.Loop() {
		f, err := report.FromFolder(dir)
		require.NoError(b, err)
		require.NoError(b, f.SaveAll(dir))
		runs++
	}
	b.ReportMetric((spent(b)-before).Seconds()/float64(runs), "CPU-s/op")
}

// TestLargePageDraws: the page of the largest report is drawn, in how much CPU
// time of the browser is logged; a second of it is the most that it may take.
func TestLargePageDraws(t *testing.T) {
	browser := browse(t)
	dir := largest.logs(t)
	f, err := report.FromFolder(dir)
	require.NoError(t, err)
	p := open(t, browser, f.Report)
	elements := ask[int](t, p, `document.querySelectorAll("*").length`)
	require.NoError(t, chromedp.Do(p.ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, performance.Enable, performance.EnableParams{TimeDomain: performance.EnableTimeDomainThreadTicks})
		return err
	})))
	least := time.Hour
	for range 3 {
		require.NoError(t, chromedp.Do(p.ctx, chromedp.Navigate(p.url))) // the metric begins anew
		// Two frames later all has been laid out and painted.
		_, err := chromedp.Run(p.ctx, chromedp.Evaluate[bool](`new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))`, chromedp.EvalAwaitPromise))
		require.NoError(t, err)
		least = min(least, taskTime(t, p))
	}
	loaded := ask[float64](t, p, `performance.getEntriesByType("navigation")[0].loadEventEnd`)
	t.Logf("%d elements; drawn in %v of CPU time, %.0f ms of wall time", elements, least, loaded)
	require.Greater(t, least, 5*time.Millisecond, "it was not drawn")
	require.Less(t, least, time.Second)
}

// taskTime is the CPU time of the thread that draws the page, for this page.
func taskTime(t *testing.T, p *opened) time.Duration {
	t.Helper()
	var all performance.GetMetricsResult
	require.NoError(t, chromedp.Do(p.ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) (err error) {
		all, err = cdp.Call(ctx, t, performance.GetMetrics, cdp.Empty{})
		return err
	})))
	for _, m := range all.Metrics {
		if m.Name == "TaskDuration" {
			return time.Duration(m.Value * 1e9)
		}
	}
	t.Fatal("the browser does not tell its CPU time")
	return 0
}
