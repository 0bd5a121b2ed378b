// SPDX-License-Identifier: GPL-2.0
/*
 * What a virtual machine's CPU is to the kernel, without a virtual machine: a
 * task whose time is accounted as a guest's, that computes, gives the CPU
 * up where it must, and leaves for a signal and nothing else.
 *
 * Knobs in debugfs, folder switchyard_vcpu:
 *   run     reading makes the reader such a CPU, on the last CPU of this machine
 *   turns   how often it has looked for a signal
 */
#include <linux/cpumask.h>
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>

static struct dentry *dir;
static u64 turns;

static int vcpu_run(void)
{
	current->flags |= PF_VCPU; /* as guest_enter_irqoff() */
	while (!signal_pending(current)) {
		WRITE_ONCE(turns, turns + 1);
		if (need_resched())
			schedule();
		cpu_relax();
	}
	current->flags &= ~PF_VCPU;
	return -EINTR;
}

static ssize_t run_read(struct file *file, char __user *buf, size_t len, loff_t *ppos)
{
	int err = set_cpus_allowed_ptr(current, cpumask_of(cpumask_last(cpu_online_mask)));

	if (err)
		return err;
	return vcpu_run();
}

static const struct file_operations run_fops = {
	.owner = THIS_MODULE,
	.open = nonseekable_open,
	.read = run_read,
};

static int __init vcpu_init(void)
{
	dir = debugfs_create_dir("switchyard_vcpu", NULL);
	debugfs_create_file("run", 0400, dir, NULL, &run_fops);
	debugfs_create_u64("turns", 0400, dir, &turns);
	return 0;
}

static void __exit vcpu_exit(void)
{
	debugfs_remove_recursive(dir);
}

module_init(vcpu_init);
module_exit(vcpu_exit);
MODULE_DESCRIPTION("A task that runs as a virtual CPU does");
MODULE_LICENSE("GPL");
