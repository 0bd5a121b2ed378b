// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
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

// locking are the functions and macros that take or drop a lock, or begin or
// end a section that a lock's other side relies on.
//
// Source: include/linux/{spinlock,rwlock,mutex,rwsem,semaphore,rcupdate,srcu,
// percpu-rwsem,cleanup}.h and net/sock.h.
var locking = regexp.MustCompile(`^(?:raw_)?(?:spin|read|write)_(?:un|try)?lock(?:_\w+)?$|^(?:rt_|ww_)?mutex_(?:un|try)?lock(?:_\w+)?$|^(?:percpu_)?(?:down|up)_(?:read|write)(?:_\w+)?$|^(?:down|up)(?:_interruptible|_killable|_trylock)?$|^s?rcu_read_(?:un)?lock(?:_\w+)?$|^(?:lock|release)_sock(?:_\w+)?$|^(?:scoped_)?guard$`)

// onceFlag is data that the kernel's macros make for a message or a lock
// class; the author means none by it.
var onceFlag = regexp.MustCompile(`^(?:__already_done|__warned|__print_once|__ret_warn_on|__key|__func__|__UNIQUE_ID|_rs|descriptor|__once_key|___done|___once_key)(?:[_.\d]|$)`)

// locks are those words of a chunk that are about locks.
func (c chunk) locks() map[string]int {
	all := map[string]int{}
	for _, t := range c {
		if locking.MatchString(t.text) {
			all[t.text]++
		}
	}
	return all
}

// warn says what is risky about a patch that is possible.
func (p *pipeline) warn(s sorted) {
	warn := func(format string, args ...any) {
		p.made.Warnings = append(p.made.Warnings, fmt.Sprintf(format, args...))
	}
	for _, f := range p.made.Functions {
		name, _, _ := strings.Cut(f.Name, ".") // .isra.0 and the like are parts of it
		if who, ok := sleepers[name]; ok && f.Patched {
			warn("%s() is on the stack of %s: the transition waits for each to leave it", f.Name, who)
		}
	}
	for _, d := range p.made.Data {
		if onceFlag.MatchString(d.Name) {
			continue
		}
		warn("%s is new data: it begins at its initial value whenever the patch is loaded, and knows nothing of what was before", d.Name)
	}
	for _, c := range append(slices.Clone(s.sources), s.headers...) {
		gone, come := changedSides(c.Before, c.After)
		for _, old := range gone {
			for _, new := range come {
				name, _ := new.function()
				if was, _ := old.function(); name == "" || was != name || strings.HasPrefix(name, "SYSCALL_DEFINE") && old.argument() != new.argument() {
					continue
				}
				if x, y := old.locks(), new.locks(); !maps.Equal(x, y) {
					if strings.HasPrefix(name, "SYSCALL_DEFINE") {
						name = new.argument()
					}
					warn("%s() takes other locks than before (%s): until the transition is done, tasks with the old and with the new code run side by side", name, lockChange(x, y))
				}
			}
		}
		defined := map[string]int{}
		for _, ch := range append(gone, come...) {
			if len(ch) > 2 && ch[0].text == "#" && ch[1].text == "define" {
				defined[ch[2].text]++
			}
		}
		for name, n := range defined {
			if n > 1 { // before and after
				warn("%s: the meaning of %s changes: what the running kernel made by the old one stays as it is", c.Name, name)
			}
		}
	}
	slices.Sort(p.made.Warnings)
	p.made.Warnings = slices.Compact(p.made.Warnings)
}

// lockChange is "+read_lock, -mutex_lock".
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
