// SPDX-License-Identifier: GPL-2.0
/*
 * CROWD is ten thousand kernel threads that sleep and do nothing else, for
 * those who have to look at them all.
 */
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/sched.h>

#define PEOPLE 10000

static struct task_struct *crowd[PEOPLE];

static int crowd_sleep(void *unused)
{
	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (kthread_should_stop())
			break;
		schedule();
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

static void crowd_leave(void)
{
	int i;

	for (i = 0; i < PEOPLE && crowd[i]; i++)
		kthread_stop(crowd[i]);
}

static int __init crowd_init(void)
{
	int i;

	for (i = 0; i < PEOPLE; i++) {
		struct task_struct *one = kthread_run(crowd_sleep, NULL, "crowd/%d", i);

		if (IS_ERR(one)) {
			crowd_leave();
			return PTR_ERR(one);
		}
		crowd[i] = one;
	}
	return 0;
}

static void __exit crowd_exit(void)
{
	crowd_leave();
}

module_init(crowd_init);
module_exit(crowd_exit);
MODULE_DESCRIPTION("Ten thousand sleeping kernel threads");
MODULE_LICENSE("GPL");
