// SPDX-License-Identifier: GPL-2.0
/*
 * A kthread bound to the last CPU that does nothing but ask whether somebody
 * else wants that CPU. With isolcpus= for it nobody does, so the kthread is
 * found running whenever it is looked at. It asks by cond_resched(), or with
 * by_schedule=1 as vhost's workers did, who called schedule() themselves.
 * Its name is that of the parameter comm.
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

static bool by_schedule;
module_param(by_schedule, bool, 0444);
static char *comm = "switchyard-spin";
module_param(comm, charp, 0444);

static int spin_loop(void *unused)
{
	while (!kthread_should_stop()) {
		int i;

		/*
		 * Something to compute: an emulator with CPUs side by side can
		 * run what a patched place held a moment ago (int3), and one
		 * that did nothing but pass such a place met that.
		 */
		for (i = 0; i < 100; i++)
			cpu_relax();
		WRITE_ONCE(turns, turns + 1);
		if (by_schedule)
			schedule();
		else /* with the mark that trampolines are freed after */
			cond_resched_tasks_rcu_qs();
	}
	return 0;
}

static int __init spin_init(void)
{
	spinner = kthread_create(spin_loop, NULL, "%s", comm);
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
MODULE_DESCRIPTION("A kthread that always runs");
MODULE_LICENSE("GPL");
