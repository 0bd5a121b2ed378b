/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/sched.h>
/* With the mark of a task that it stands at no patched instruction. */
#if HAVE_FIELD_rcu_tasks_holdout_OF_task_struct
#define rcu_tasks_qs(task) do { \
	if (READ_ONCE((task)->rcu_tasks_holdout)) \
		WRITE_ONCE((task)->rcu_tasks_holdout, false); \
	} while (0)
#else
#define rcu_tasks_qs(task) do { } while (0)
#endif
#define cond_resched_tasks_rcu_qs() do { rcu_tasks_qs(current); cond_resched(); } while (0)
