/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/signal.h>
/*
 * The kernel's own looks at TIF_SIGPENDING first, to save time; its number is
 * a macro that has changed. signal_pending() is nothing but that flag, so it
 * cannot be had here.
 */
static inline int fatal_signal_pending(struct task_struct *task)
{
	return sigismember(&task->pending.signal, SIGKILL);
}
