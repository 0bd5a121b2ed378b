// SPDX-License-Identifier: GPL-2.0
/*
 * One function that is called in every context that a kernel has.
 *
 * /sys/kernel/debug/switchyard_contexts/
 *   each   write N: N calls each from the system call, a kthread, a kworker, a
 *          timer's softirq, a tasklet and an hrtimer's hard interrupt; returns
 *          when all are done
 *   burst  write N: N calls from the system call, as fast as they come
 *   storm  write 1: a kthread calls without end; write 0: it stops
 *   calls  read: the calls that ran the function as it is here
 */
#include <linux/atomic.h>
#include <linux/completion.h>
#include <linux/debugfs.h>
#include <linux/hrtimer.h>
#include <linux/interrupt.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/timer.h>
#include <linux/version.h>
#include <linux/workqueue.h>

/* No function may be the first: the kernel may lose its place (docs/diagnoses.md). */
asm(".pushsection .text; .skip 16, 0xcc; .popsection");

static atomic_t calls = ATOMIC_INIT(0);
static struct completion done;
static DEFINE_MUTEX(busy);
static struct dentry *dir;
static struct task_struct *storm;

int contexts_touch(int where); /* not static: it keeps its name and arguments */

noinline __noclone int contexts_touch(int where)
{
	return atomic_inc_return(&calls) + where;
}

static int touch_from_kthread(void *n)
{
	long i;

	for (i = 0; i < (long)n; i++)
		contexts_touch(1);
	complete(&done);
	while (!kthread_should_stop()) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (!kthread_should_stop())
			schedule();
		__set_current_state(TASK_RUNNING);
	}
	return 0;
}

static void touch_from_kworker(struct work_struct *work)
{
	contexts_touch(2);
	complete(&done);
}
static DECLARE_WORK(work, touch_from_kworker);

static void touch_from_softirq(struct timer_list *t)
{
	contexts_touch(3);
	complete(&done);
}
static DEFINE_TIMER(timer, touch_from_softirq);

static void touch_from_tasklet(struct tasklet_struct *t)
{
	contexts_touch(4);
	complete(&done);
}
static DECLARE_TASKLET(tasklet, touch_from_tasklet);

static enum hrtimer_restart touch_from_hardirq(struct hrtimer *t)
{
	contexts_touch(5);
	complete(&done);
	return HRTIMER_NORESTART;
}
static struct hrtimer hrtimer;

static int each_set(void *data, u64 n)
{
	struct task_struct *task;
	u64 i;

	mutex_lock(&busy);
	task = kthread_run(touch_from_kthread, (void *)(long)n, "contexts");
	if (IS_ERR(task)) {
		mutex_unlock(&busy);
		return PTR_ERR(task);
	}
	wait_for_completion(&done);
	kthread_stop(task);
	for (i = 0; i < n; i++) {
		contexts_touch(0);
		schedule_work(&work);
		wait_for_completion(&done);
		mod_timer(&timer, jiffies);
		wait_for_completion(&done);
		tasklet_schedule(&tasklet);
		wait_for_completion(&done);
		hrtimer_start(&hrtimer, ns_to_ktime(100000), HRTIMER_MODE_REL_HARD);
		wait_for_completion(&done);
	}
	mutex_unlock(&busy);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(each_fops, NULL, each_set, "%llu\n");

static int burst_set(void *data, u64 n)
{
	while (n--)
		contexts_touch(6);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(burst_fops, NULL, burst_set, "%llu\n");

static int touch_from_storm(void *data)
{
	int i;

	while (!kthread_should_stop()) {
		for (i = 0; i < 100; i++)
			contexts_touch(7);
		cond_resched();
	}
	return 0;
}

static int storm_set(void *data, u64 on)
{
	int err = 0;

	mutex_lock(&busy);
	if (on && !storm) {
		storm = kthread_run(touch_from_storm, NULL, "storm");
		if (IS_ERR(storm)) {
			err = PTR_ERR(storm);
			storm = NULL;
		}
	} else if (!on && storm) {
		kthread_stop(storm);
		storm = NULL;
	}
	mutex_unlock(&busy);
	return err;
}
DEFINE_DEBUGFS_ATTRIBUTE(storm_fops, NULL, storm_set, "%llu\n");

static int calls_get(void *data, u64 *n)
{
	*n = atomic_read(&calls);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(calls_fops, calls_get, NULL, "%llu\n");

static int __init contexts_init(void)
{
	init_completion(&done);
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
	hrtimer_setup(&hrtimer, touch_from_hardirq, CLOCK_MONOTONIC, HRTIMER_MODE_REL_HARD);
#else
	hrtimer_init(&hrtimer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_HARD);
	hrtimer.function = touch_from_hardirq;
#endif
	dir = debugfs_create_dir("switchyard_contexts", NULL);
	debugfs_create_file_unsafe("each", 0200, dir, NULL, &each_fops);
	debugfs_create_file_unsafe("burst", 0200, dir, NULL, &burst_fops);
	debugfs_create_file_unsafe("storm", 0200, dir, NULL, &storm_fops);
	debugfs_create_file_unsafe("calls", 0400, dir, NULL, &calls_fops);
	return 0;
}

static void __exit contexts_exit(void)
{
	debugfs_remove(dir);
	storm_set(NULL, 0);
	hrtimer_cancel(&hrtimer);
	tasklet_kill(&tasklet);
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 2, 0)
	timer_delete_sync(&timer);
#else
	del_timer_sync(&timer);
#endif
	flush_work(&work);
}

module_init(contexts_init);
module_exit(contexts_exit);
MODULE_DESCRIPTION("One function, called in every context");
MODULE_LICENSE("GPL");
