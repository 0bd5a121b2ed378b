// SPDX-License-Identifier: GPL-2.0
/*
 * A kthread bound to the last CPU that does nothing but ask, by
 * cond_resched(), whether somebody else wants that CPU. With isolcpus= for it
 * nobody does, so the kthread is found running whenever it is looked at.
 * Knob in debugfs, folder switchyard_spin:
 *   turns   how often it has asked
 */
#include <linux/cpumask.h>
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>

static struct task_struct *spinner;
static struct dentry *dir;
static u64 turns;

static int spin_loop(void *unused)
{
	while (!kthread_should_stop()) {
		WRITE_ONCE(turns, turns + 1);
		/* With the mark that trampolines are freed after. */
		cond_resched_tasks_rcu_qs();
	}
	return 0;
}

static int __init spin_init(void)
{
	spinner = kthread_create(spin_loop, NULL, "switchyard-spin");
	if (IS_ERR(spinner))
		return PTR_ERR(spinner);
	kthread_bind(spinner, cpumask_last(cpu_online_mask));
	wake_up_process(spinner);
	dir = debugfs_create_dir("switchyard_spin", NULL);
	debugfs_create_u64("turns", 0400, dir, &turns);
	return 0;
}

static void __exit spin_exit(void)
{
	debugfs_remove_recursive(dir);
	kthread_stop(spinner);
}

module_init(spin_init);
module_exit(spin_exit);
MODULE_DESCRIPTION("A kthread that runs and calls cond_resched()");
MODULE_LICENSE("GPL");
