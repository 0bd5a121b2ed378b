// SPDX-License-Identifier: GPL-2.0
/*
 * A kernel thread with a main loop, loop_main(), which it never leaves, and a
 * turn of it, loop_step(), which it leaves at once.
 * Knob in debugfs, folder switchyard_loop:
 *   turn   writing wakes the thread for one turn
 */
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/sched.h>

/* No function may be the first: the kernel may lose its place (docs/diagnoses.md). */
asm(".pushsection .text; .skip 16, 0xcc; .popsection");

static struct task_struct *looper;
static struct dentry *dir;
static unsigned long turns;

static noinline __noclone void loop_step(void)
{
	WRITE_ONCE(turns, turns + 1);
}

/* It stays on the thread's stack for as long as the thread lives. */
static noinline int loop_main(void *unused)
{
	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (kthread_should_stop())
			break;
		schedule();
		loop_step();
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

static ssize_t turn_write(struct file *file, const char __user *buf, size_t len, loff_t *ppos)
{
	wake_up_process(looper);
	return len;
}

static const struct file_operations turn_fops = {
	.owner = THIS_MODULE,
	.open = nonseekable_open,
	.write = turn_write,
};

static int __init loop_init(void)
{
	looper = kthread_run(loop_main, NULL, "looper");
	if (IS_ERR(looper))
		return PTR_ERR(looper);
	dir = debugfs_create_dir("switchyard_loop", NULL);
	debugfs_create_file_unsafe("turn", 0200, dir, NULL, &turn_fops);
	return 0;
}

static void __exit loop_exit(void)
{
	debugfs_remove_recursive(dir);
	kthread_stop(looper);
}

module_init(loop_init);
module_exit(loop_exit);
MODULE_DESCRIPTION("A kernel thread that never leaves its main loop");
MODULE_LICENSE("GPL");
