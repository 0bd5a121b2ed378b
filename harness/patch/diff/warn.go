// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/object"
)

// sleepers are functions that some task of an ordinary system sleeps in for as
// long as it likes, so that a transition waits for it: with the task that
// does. What calls them is asleep as long.
var sleepers = map[string]string{
	"schedule": "every task that sleeps", "__schedule": "every task that sleeps", "schedule_timeout": "every task that sleeps for a time",
	"kthread": "every kernel thread", "kthreadd": "kthreadd", "kthread_worker_fn": "workers of the kernel",
	"worker_thread": "every worker of the kernel's queues", "rescuer_thread": "workers of the kernel's queues",
	"smpboot_thread_fn": "a thread of each CPU", "rcu_gp_kthread": "rcu's thread", "kswapd": "kswapd", "kcompactd": "kcompactd",
	"do_idle": "the idle tasks", "cpu_startup_entry": "the idle tasks", "start_secondary": "the idle tasks", "rest_init": "the idle tasks",
	"ep_poll": "whoever waits in epoll_wait()", "do_epoll_wait": "whoever waits in epoll_wait()",
	"do_select": "whoever waits in select()", "core_sys_select": "whoever waits in select()",
	"do_sys_poll": "whoever waits in poll()", "do_poll": "whoever waits in poll()",
	"do_wait": "whoever waits for a child", "kernel_wait4": "whoever waits for a child",
	"futex_wait": "whoever waits for a lock or a condition", "futex_wait_queue": "whoever waits for a lock or a condition", "do_futex": "whoever waits for a lock or a condition",
	"do_nanosleep": "whoever sleeps for a time", "hrtimer_nanosleep": "whoever sleeps for a time",
	"sigsuspend": "whoever waits for a signal", "do_sigtimedwait": "whoever waits for a signal", "do_signal_stop": "stopped tasks", "ptrace_stop": "traced tasks",
	"pipe_read": "readers of empty pipes", "anon_pipe_read": "readers of empty pipes", "n_tty_read": "whoever waits at a terminal",
	"inet_csk_accept": "servers that wait for clients", "unix_accept": "servers that wait for clients",
	"unix_stream_read_generic": "readers of local sockets", "tcp_recvmsg": "readers of sockets", "tcp_recvmsg_locked": "readers of sockets",
	"vfs_read": "readers that wait", "ksys_read": "readers that wait", "new_sync_read": "readers that wait",
	"do_syscall_64": "every task that sleeps in a system call", "x64_sys_call": "every task that sleeps in a system call",
	"kernel_init": "init while it starts", "ret_from_fork": "every kernel thread", "kauditd_thread": "auditd's thread", "khugepaged": "khugepaged", "ksmd": "ksmd", "oom_reaper": "the OOM reaper",
}

// locking are functions that take or drop a lock, or begin or end a section
// that a lock's other side relies on.
//
// Source: include/linux/{spinlock,rwlock,mutex,rwsem,rcupdate,srcu,percpu-rwsem}*.h
// and net/sock.h; spin_lock() and its like are calls of _raw_spin_lock().
var locking = regexp.MustCompile(`^_*(?:raw_(?:spin|read|write)_(?:un|try)?lock|(?:rt_|ww_)?mutex_(?:un|try)?lock|(?:percpu_)?(?:down|up)_(?:read|write)|s?rcu_read_(?:un)?lock|lock_sock|release_sock)`)

// locks are those of a function's calls that are about locks.
func locks(s *object.Symbol) map[string]int {
	all := map[string]int{}
	for name, n := range calls(s) {
		if locking.MatchString(name) {
			all[name] = n
		}
	}
	return all
}

// warn says what is risky about a patch that is possible.
func (p *pipeline) warn(s sorted, pairs []pair) {
	warn := func(format string, args ...any) {
		p.made.Warnings = append(p.made.Warnings, fmt.Sprintf(format, args...))
	}
	for _, f := range p.made.Functions {
		name, _, _ := strings.Cut(f.Name, ".") // .isra.0 and the like are parts of it
		if who, ok := sleepers[name]; ok && f.Patched {
			warn("%s() is on the stack of %s: the transition waits for each to leave it", f.Name, who)
		}
	}
	byUnit := map[string]pair{}
	for _, one := range pairs {
		byUnit[one.Source+one.Object] = one
	}
	for _, f := range p.made.Functions {
		one, ok := byUnit[f.Unit+f.Object]
		if !ok {
			continue
		}
		pre, post, err := one.objects()
		if err != nil {
			continue // it was readable a moment ago; the build itself fails if not
		}
		old, new := functionCalled(pre, f.Name), functionCalled(post, f.Name)
		if old == nil || new == nil {
			continue
		}
		if x, y := locks(old), locks(new); !maps.Equal(x, y) {
			warn("%s() takes other locks than before (%s): until the transition is done, tasks with the old and with the new code run side by side", f.Name, lockChange(x, y))
		}
	}
	for _, d := range p.made.Data {
		warn("%s is new data: it begins at its initial value whenever the patch is loaded, and knows nothing of what was before", d.Name)
	}
	for _, c := range append(slices.Clone(s.sources), s.headers...) {
		for _, ch := range changedChunks(c.Before, c.After) {
			if len(ch) > 2 && ch[0].text == "#" && ch[1].text == "define" {
				warn("%s: the meaning of %s changes: what the running kernel made by the old one stays as it is", c.Name, ch[2].text)
			}
		}
	}
	slices.Sort(p.made.Warnings)
	p.made.Warnings = slices.Compact(p.made.Warnings)
}

func functionCalled(o *object.Object, name string) *object.Symbol {
	for _, s := range o.Symbols {
		if s.Name == name && isFunction(s) {
			return s
		}
	}
	return nil
}

// lockChange is "+_raw_read_lock, -mutex_lock".
func lockChange(old, new map[string]int) string {
	var words []string
	for name, n := range new {
		if n > old[name] {
			words = append(words, "+"+name)
		}
	}
	for name, n := range old {
		if n > new[name] {
			words = append(words, "-"+name)
		}
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}
