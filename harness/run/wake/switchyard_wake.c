// SPDX-License-Identifier: GPL-2.0
/*
 * Wakes the tasks in the parameter tids, whatever they sleep for. A sleeper
 * that knows what it waits for looks, and sleeps again; one that was put to
 * sleep without a condition goes on.
 *
 * All is done when it is loaded.
 */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/sched.h>
#include <linux/sched/task.h>

static int tids[256];
static int count;
module_param_array(tids, int, &count, 0);
MODULE_PARM_DESC(tids, "thread IDs of the tasks to wake");

static int __init wake_init(void)
{
	int i;

	for (i = 0; i < count; i++) {
		struct pid *pid = find_get_pid(tids[i]);
		struct task_struct *task = get_pid_task(pid, PIDTYPE_PID);

		put_pid(pid);
		if (!task)
			continue; /* it ended meanwhile */
		wake_up_process(task);
		put_task_struct(task);
	}
	return 0;
}

static void __exit wake_exit(void)
{
}

module_init(wake_init);
module_exit(wake_exit);
MODULE_DESCRIPTION("Wakes tasks");
MODULE_LICENSE("GPL");
