// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// TestParseCore reads the messages as the kernels 5.10 to 7.3 word them.
func TestParseCore(t *testing.T) {
	for text, want := range map[string]coreWord{
		"livepatch: klp_try_switch_task: swapper/1:0 is running":                              {"swapper/1", 0, observe.Running, ""},
		"livepatch: klp_try_switch_task: cat:97 is sleeping on function hold_park":            {"cat", 97, observe.Asleep, "hold_park"},
		"livepatch: klp_check_stack: cat:97 is sleeping on function hold_park":                {"cat", 97, observe.Asleep, "hold_park"},
		"livepatch: klp_check_stack: kworker/0:1:12 has an unreliable stack":                  {"kworker/0:1", 12, observe.Unreliable, ""},
		"livepatch: klp_try_switch_task: a:b is running:5 is running":                         {"a:b is running", 5, observe.Running, ""},
		"livepatch: klp_try_switch_task: x: is sleeping on functio:3 is sleeping on function": {},
		"livepatch: klp_try_switch_task: x:-3 is running":                                     {},
		"livepatch: klp_try_switch_task: x is running":                                        {},
		"livepatch: signaling remaining tasks":                                                {},
		"klp_try_switch_task: x:3 is running":                                                 {},
		"livepatch: klp_try_switch_task: Unknown error code (-5) when trying to switch x:3":   {},
	} {
		got, ok := parseCore(text)
		require.Equal(t, want != coreWord{}, ok, text)
		require.Equal(t, want, got, text)
	}
}

func FuzzParseCore(f *testing.F) {
	f.Add("livepatch: klp_try_switch_task: swapper/1:0 is running")
	f.Fuzz(func(t *testing.T, text string) {
		if w, ok := parseCore(text); ok {
			require.NotEmpty(t, w.reason)
			require.GreaterOrEqual(t, w.tid, 0)
			require.Contains(t, text, w.comm)
			require.Equal(t, w.reason == observe.Asleep, w.function != "")
		}
	})
}

// lines gives one record a Read, as /dev/kmsg does.
type lines []string

func (r *lines) Read(b []byte) (int, error) {
	if len(*r) == 0 {
		return 0, io.EOF
	}
	n := copy(b, fmt.Sprintf("7,1,2,-;%s\n", (*r)[0]))
	*r = (*r)[1:]
	return n, nil
}

// TestOneRoundIsHeard: what is logged besides is passed over; once the
// messages of a round have come, a pause ends it; nothing is waited for that
// never comes.
func TestOneRoundIsHeard(t *testing.T) {
	line := "livepatch: klp_try_switch_task: a:%d is running"
	var log lines
	for i := range 3 {
		log = append(log, "something else", fmt.Sprintf(line, i+1))
	}
	waits := 0
	ready := func(d time.Duration) bool {
		if len(log) > 0 {
			return true
		}
		waits++
		time.Sleep(d) // as poll does
		return false
	}
	words := hearRound(t.Context(), &log, ready)
	require.Len(t, words, 3)
	require.Positive(t, waits)

	for i := range 5000 { // a console that others flood
		log = append(log, fmt.Sprintf(line, i+1))
	}
	words = hearRound(t.Context(), &log, ready)
	require.LessOrEqual(t, len(words), 2*mostForCore+1)
}

// TestRecordsDoNotBlock: neither a signal nor a poll(2) that was wrong makes a
// reader wait for a record that never comes.
func TestRecordsDoNotBlock(t *testing.T) {
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	defer w.Close()
	conn, err := r.SyscallConn()
	require.NoError(t, err)
	log := logRecords{conn}

	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	tid, woken := unix.Gettid(), make(chan error)
	go func() {
		awaitSleep(tid)
		woken <- unix.Tgkill(os.Getpid(), tid, unix.SIGURG) // the runtime's own
	}()
	require.False(t, log.await(time.Minute), "a signal came, no record")
	require.NoError(t, <-woken)

	begin := now()
	require.Empty(t, hearRound(t.Context(), log, func(time.Duration) bool { return true }))
	require.GreaterOrEqual(t, now()-begin, int64(coreRound), "it was heard to the end")

	record := "7,1,2,-;livepatch: klp_try_switch_task: a:7 is running\n"
	_, err = w.WriteString(record)
	require.NoError(t, err)
	require.True(t, log.await(time.Minute))
	require.Equal(t, coreWords{{comm: "a", tid: 7, reason: observe.Running}}, hearRound(t.Context(), log, log.await))
	require.NoError(t, w.Close())
	require.Empty(t, hearRound(t.Context(), log, log.await), "the log has ended")
}

// awaitSleep waits until a thread of this process sleeps, as /proc tells it.
func awaitSleep(tid int) {
	for {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/self/task/%d/stat", tid))
		if _, state, _ := strings.Cut(string(b), ") "); strings.HasPrefix(state, "S") {
			return
		}
		runtime.Gosched()
	}
}

// TestCoreIsOnlyAskedOffTheConsole: with a console that prints debug messages,
// or an unknown one, the core is not told to print.
func TestCoreIsOnlyAskedOffTheConsole(t *testing.T) {
	root := t.TempDir()
	printk, ignore := filepath.Join(root, "sys/kernel/printk"), filepath.Join(root, "module/printk/parameters/ignore_loglevel")
	require.True(t, consolePrintsDebug(root, root), "nobody knows")
	for _, path := range []string{printk, ignore} {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	}
	for _, c := range []struct {
		printk, ignore string
		prints         bool
	}{
		{"7\t4\t1\t7\n", "N\n", false}, {"4 4 1 7", "", false}, {"8\t4\t1\t7\n", "N\n", true}, {"7 4 1 7", "Y\n", true}, {"", "N", true}, {"x", "N", true},
	} {
		require.NoError(t, os.WriteFile(printk, []byte(c.printk), 0o644))
		require.NoError(t, os.WriteFile(ignore, []byte(c.ignore), 0o644))
		require.Equal(t, c.prints, consolePrintsDebug(root, root), c)
	}
}

// TestTurn writes the query to the control file that there is.
func TestTurn(t *testing.T) {
	root := t.TempDir()
	c := &core{}
	require.Error(t, c.turn(root, root, "+p"), "no dynamic debug")
	control := filepath.Join(root, "kernel/debug/dynamic_debug/control")
	require.NoError(t, os.MkdirAll(filepath.Dir(control), 0o755))
	require.NoError(t, os.WriteFile(control, nil, 0o644))
	require.NoError(t, c.turn(root, root, "-p"))
	text, err := os.ReadFile(control)
	require.NoError(t, err)
	require.Equal(t, "file kernel/livepatch/transition.c func klp_try_switch_task -p\n", string(text))
}

func frames(text string) []string { return strings.Fields(text) }

// TestMerge: the core's reason holds, and what does not fit is said.
func TestMerge(t *testing.T) {
	seen := func(tid int, reason, state, function string, patched bool, stack ...string) observe.Blocker {
		return observe.Blocker{TID: tid, Kind: observe.UserTask, Reason: reason, State: state, Function: function, Patched: patched, Stack: stack, Witnesses: []string{observe.ByProc}}
	}
	words := coreWords{
		{"agree", 1, observe.Asleep, "f"}, {"moved", 2, observe.Running, ""}, {"woke", 3, observe.Asleep, "f"}, {"hidden", 4, observe.Asleep, "f"},
		{"untold", 5, observe.Asleep, "f"}, {"vague", 6, observe.Unreliable, ""}, {"gone", 7, observe.Running, ""},
		{"swapper/1", 0, observe.Running, ""}, {"swapper/0", 0, observe.Running, ""}, {"swapper/1", 0, observe.Running, ""},
	}
	got := words.merge([]observe.Blocker{
		seen(1, observe.Asleep, "S", "new_f", true, "new_f+0x1/0x2"), // on the way back the core names the old one
		seen(2, observe.Waiting, "S", "nap", false, "nap+0x1/0x2"),
		seen(3, observe.Running, "R", "", false),
		seen(4, observe.Waiting, "D", "nap", false, "nap+0x1/0x2"),
		seen(5, observe.Waiting, "D", "nap", false, "nap+0x1/0x2", "f.constprop.0+0x1/0x2"),
		seen(6, observe.Waiting, "S", "nap", false, "nap+0x1/0x2", "bpf_trampoline_1+0x1/0x2", "entry_SYSCALL_64_after_hwframe+0x1/0x2"),
		seen(8, observe.Waiting, "S", "nap", false),
	})
	both := []string{observe.ByProc, observe.ByCore}
	require.Len(t, got, 9)
	require.Equal(t, both, got[0].Witnesses)
	require.Empty(t, got[0].Differ)
	require.Equal(t, "new_f", got[0].Function)
	require.Equal(t, observe.Running, got[1].Reason)
	require.Equal(t, "the core found it running, /proc a moment later in state S in nap()", got[1].Differ)
	require.Equal(t, "the core found it asleep on f(), /proc a moment later running", got[2].Differ)
	require.Equal(t, observe.Asleep, got[2].Reason)
	require.Equal(t, "the core found it asleep on f(), which /proc does not show on its stack", got[3].Differ)
	require.Empty(t, got[4].Differ)
	require.Equal(t, "f", got[4].Function)
	require.True(t, got[4].Patched)
	require.Equal(t, observe.Unreliable, got[5].Reason)
	require.Equal(t, "bpf_trampoline_1+0x1/0x2", got[5].Frame)
	require.Contains(t, got[6].Differ, "do not name it")
	require.Equal(t, []string{observe.ByProc}, got[6].Witnesses)
	for i, name := range []string{"swapper/1", "swapper/0"} {
		idle := got[7+i]
		require.Equal(t, observe.Blocker{Comm: name, Kind: observe.IdleTask, Reason: observe.Running, State: "R", CPU: 1 - i, Witnesses: []string{observe.ByCore}}, idle)
	}
	require.Equal(t, []observe.Blocker{{TID: 1}}, coreWords(nil).merge([]observe.Blocker{{TID: 1}}), "it was not asked")
}

func TestWorkAndFrame(t *testing.T) {
	require.Equal(t, "my_work", workOf(frames("msleep+0x1/0x2 my_work+0x1/0x2 process_one_work+0x1/0x2 worker_thread+0x1/0x2 kthread+0x1/0x2")))
	require.Equal(t, "my_work", workOf(frames("my_work+0x1/0x2 process_one_work.isra.0+0x1/0x2")))
	require.Empty(t, workOf(frames("process_one_work+0x1/0x2 worker_thread+0x1/0x2")), "between two items")
	require.Empty(t, workOf(frames("worker_thread+0x1/0x2 kthread+0x1/0x2")))
	for stack, want := range map[string]string{
		"nap+0x1/0x2 do_syscall_64+0x1/0x2 entry_SYSCALL_64_after_hwframe+0x1/0x2": "",
		"nap+0x1/0x2 kthread+0x1/0x2 ret_from_fork+0x1/0x2":                        "",
		"nap+0x1/0x2 generated+0x1/0x2":                                            "generated+0x1/0x2",
		"nap+0x1/0x2 0xffffffffc0001234 ret_from_fork_asm+0x1/0x2":                 "0xffffffffc0001234",
		"handle+0x1/0x2 asm_exc_page_fault+0x1/0x2":                                "",
		"handle+0x1/0x2 asm_exc_page_fault+0x1/0x2 copy+0x1/0x2":                   "asm_exc_page_fault+0x1/0x2",
		"nap+0x1/0x2 __kretprobe_trampoline+0x0/0x4 kthread+0x1/0x2":               "__kretprobe_trampoline+0x0/0x4",
		"": "",
	} {
		require.Equal(t, want, untrusted(frames(stack)), stack)
	}
}

// TestTenThousandTasks: an examination of a guest with 10,000 tasks that are
// all in the way takes the most that it may, and asks no console.
func TestTenThousandTasks(t *testing.T) {
	root := t.TempDir()
	// Each of 100 processes is the one of 100 threads, which are all one.
	showTask(t, root, 1, 1, 0)
	thread, tasks := filepath.Join(root, "1/task/1"), filepath.Join(root, "threads/task")
	stat := fmt.Sprintf("1 (a (b) c) D %s 1 0", strings.TrimSpace(strings.Repeat("0 ", 35)))
	require.NoError(t, os.WriteFile(filepath.Join(thread, "stat"), []byte(stat), 0o644))
	deep := "[<0>] f+0x1/0x2\n" + strings.Repeat("[<0>] a_function_with_a_name_that_is_not_short+0x123/0x456 [and_a_module]\n", 100)
	require.NoError(t, os.WriteFile(filepath.Join(thread, "stack"), []byte(deep), 0o644))
	require.NoError(t, os.MkdirAll(tasks, 0o755))
	for i := range 100 {
		require.NoError(t, os.Symlink(thread, filepath.Join(tasks, fmt.Sprint(1000+i))))
		require.NoError(t, os.Symlink(filepath.Dir(tasks), filepath.Join(root, fmt.Sprint(1000+i))))
	}
	patch := filepath.Join(root, "sys/kernel/livepatch/p")
	control := transitionIn(t, root)
	x := Examination{Proc: root, Sys: filepath.Join(root, "sys"), Functions: []string{"f"}, Core: true}
	all := x.Blockers(t.Context())
	require.Len(t, all, maxBlockers)
	require.Equal(t, observe.Asleep, all[0].Reason)
	require.Equal(t, "a (b) c", all[0].Comm)
	require.Len(t, all[0].Stack, maxFrames)
	last := all[len(all)-1]
	require.Equal(t, "f", last.Function)
	require.Empty(t, last.Stack, "its stack is one too many")
	message, err := json.Marshal(all)
	require.NoError(t, err)
	require.Less(t, len(message), 3<<18, "what the host takes is 1 MiB at most")
	text, err := os.ReadFile(control)
	require.NoError(t, err)
	require.Empty(t, text, "the core was told to print for 10,000 tasks")

	x.Tasks, x.Most = []string{filepath.Join(root, "1000/task/1000"), filepath.Join(root, "1/task/2")}, 100
	require.Len(t, x.Blockers(t.Context()), 1, "of those that were named")
	x.Tasks, x.For = nil, 1
	require.LessOrEqual(t, len(x.Blockers(t.Context())), 1, "its time is over")
	require.NoError(t, os.WriteFile(filepath.Join(patch, "transition"), []byte("0\n"), 0o644))
	require.Empty(t, x.Blockers(t.Context()), "no transition runs")
}

// transitionIn makes a transition of the patch p below root, and the file by
// which the core is told to print, whose path it gives.
func transitionIn(t *testing.T, root string) (control string) {
	t.Helper()
	control = filepath.Join(root, "dynamic_debug/control")
	patch := filepath.Join(root, "sys/kernel/livepatch/p")
	for path, text := range map[string]string{
		filepath.Join(patch, "transition"): "1\n", filepath.Join(patch, "enabled"): "1\n", control: "",
		filepath.Join(root, "sys/kernel/printk"): "4 4 1 7\n",
	} {
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	return control
}

// TestUndisturbed: while a task computes on a CPU without a tick the core is not
// told to print, which would interrupt that CPU and so let the task switch.
func TestUndisturbed(t *testing.T) {
	root := t.TempDir()
	showTask(t, root, 1, 1, 0)
	stat := fmt.Sprintf("1 (compute) R %s 1 0", strings.TrimSpace(strings.Repeat("0 ", 35)))
	require.NoError(t, os.WriteFile(filepath.Join(root, "1/task/1/stat"), []byte(stat), 0o644))
	control := transitionIn(t, root)
	tickless := filepath.Join(root, "sys/devices/system/cpu/nohz_full")
	require.NoError(t, os.MkdirAll(filepath.Dir(tickless), 0o755))
	require.NoError(t, os.WriteFile(tickless, []byte("1\n"), 0o644))

	all := Examination{Proc: root, Sys: filepath.Join(root, "sys"), Core: true}.Blockers(t.Context())
	require.Len(t, all, 1)
	require.True(t, all[0].NoHZFull)
	require.Equal(t, observe.Running, all[0].Reason)
	text, err := os.ReadFile(control)
	require.NoError(t, err)
	require.Empty(t, text, "the core was told to print")
}

func TestCPUList(t *testing.T) {
	path := filepath.Join(t.TempDir(), "list")
	buf := make([]byte, 256)
	for text, want := range map[string]map[int]bool{
		"1-3,7\n": {1: true, 2: true, 3: true, 7: true}, "(null)\n": {}, "\n": {}, "2": {2: true}, "0-99999999999": {}, "3-1": {}, "-1": {},
	} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		require.Equal(t, want, cpuList(path, buf), text)
	}
	require.Empty(t, cpuList(path+"x", buf))
}
