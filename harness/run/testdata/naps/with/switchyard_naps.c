// SPDX-License-Identifier: GPL-2.0
/*
 * NAPS: a kthread that sleeps in nap() until the module goes.
 */
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/sched.h>

static struct task_struct *sleeper;

/* Its address is taken, so that it keeps its name. */
static int nap(void *unused)
{
	set_current_state(TASK_IDLE);
	while (!kthread_should_stop()) {
		schedule();
		set_current_state(TASK_IDLE);
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

static int __init naps_init(void)
{
	sleeper = kthread_run(nap, NULL, "switchyard-nap");
	return PTR_ERR_OR_ZERO(sleeper);
}

static void __exit naps_exit(void)
{
	kthread_stop(sleeper);
}

module_init(naps_init);
module_exit(naps_exit);
MODULE_DESCRIPTION("A kthread that sleeps in a function to be patched");
MODULE_LICENSE("GPL");
