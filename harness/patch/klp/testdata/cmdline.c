// SPDX-License-Identifier: GPL-2.0
/*
 * As fs/proc/cmdline.c would be compiled into the kernel: with a symbol that
 * is not exported, a tracepoint (jump label and static call), a static key,
 * faults (one beyond the end of user space, which recent kernels know as a
 * runtime constant), and a preemption point.
 */
#undef MODULE
#include <linux/kernel.h>
#if __has_include(<asm/runtime-const.h>)
#include <asm/runtime-const.h>
#define BEYOND fault((int __user *)0x00ff000000000000)
#else
#define BEYOND 1
#endif
#include <linux/sched.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>
#include <linux/jump_label.h>
#include <trace/events/task.h>

extern char *saved_command_line;
DECLARE_STATIC_KEY_TRUE(vm_numa_stat_key);

static noinline int fault(int __user *p)
{
	int value;

	if (!user_access_begin(p, sizeof(*p)))
		return 1;
	unsafe_get_user(value, p, bad);
	user_access_end();
	return 0;
bad:
	user_access_end();
	return 2;
}

static int calls;

static int __used cmdline_proc_show(struct seq_file *m, void *v)
{
	might_sleep();
	trace_task_rename(current, "switchyard");
	seq_printf(m, "%s new %d key %d fault %d beyond %d\n", saved_command_line, ++calls,
		   static_branch_likely(&vm_numa_stat_key) ? 1 : 0, fault((int __user *)8),
		   BEYOND);
	return 0;
}
