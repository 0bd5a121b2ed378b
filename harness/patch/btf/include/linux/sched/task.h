/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/sched.h>
extern struct task_struct init_task;
static inline struct task_struct *get_task_struct(struct task_struct *task)
{
	atomic_inc(&task->usage.refs);
	return task;
}
static inline void put_task_struct(struct task_struct *task)
{
	if (atomic_dec_and_test(&task->usage.refs))
		__put_task_struct(task);
}
