/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/types.h>
/* Per-CPU data, by its offset from the segment base. */
#if HAVE_EXPORT_current_task
extern struct task_struct *current_task;
#define __CURRENT "i"(&current_task)
#else
extern struct pcpu_hot pcpu_hot;
#define __CURRENT "i"(&pcpu_hot.current_task)
#endif
static __always_inline struct task_struct *get_current(void)
{
	struct task_struct *task;

	asm("movq %%gs:%c1,%0" : "=r"(task) : __CURRENT);
	return task;
}
#define current get_current()
