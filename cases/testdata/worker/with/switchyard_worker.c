// SPDX-License-Identifier: GPL-2.0
/*
 * A work item, worker_work(), that waits in worker_wait() until it may go. The
 * worker thread of the kernel's that carries it out stays in both, and no signal
 * reaches it.
 *
 * Knobs in debugfs, folder switchyard_worker:
 *   waiting   1 while it waits
 *   leave     writing lets it go
 */
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

/* No function may be the first: the kernel may lose its place (docs/diagnoses.md). */
asm(".pushsection .text; .skip 16, 0xcc; .popsection");

static DECLARE_WAIT_QUEUE_HEAD(queue);
static struct work_struct work;
static struct dentry *dir;
static u32 waiting;
static bool leave;

/* The function to patch: it stays on the worker's stack. */
static noinline __noclone void worker_wait(void)
{
	WRITE_ONCE(waiting, 1);
	wait_event(queue, READ_ONCE(leave));
	WRITE_ONCE(waiting, 0);
}

static void worker_work(struct work_struct *unused)
{
	worker_wait();
	pr_info("switchyard_worker: the work is done\n");
}

static void let_go(void)
{
	WRITE_ONCE(leave, true);
	wake_up_all(&queue);
}

static ssize_t leave_write(struct file *file, const char __user *buf, size_t len, loff_t *ppos)
{
	let_go();
	return len;
}

static const struct file_operations leave_fops = {
	.owner = THIS_MODULE,
	.open = nonseekable_open,
	.write = leave_write,
};

static int __init worker_init(void)
{
	dir = debugfs_create_dir("switchyard_worker", NULL);
	if (IS_ERR(dir))
		return PTR_ERR(dir);
	debugfs_create_u32("waiting", 0400, dir, &waiting);
	debugfs_create_file_unsafe("leave", 0200, dir, NULL, &leave_fops);
	INIT_WORK(&work, worker_work);
	schedule_work(&work);
	return 0;
}

static void __exit worker_exit(void)
{
	let_go();
	flush_work(&work);
	debugfs_remove_recursive(dir);
}

module_init(worker_init);
module_exit(worker_exit);
MODULE_DESCRIPTION("A work item that does not end");
MODULE_LICENSE("GPL");
