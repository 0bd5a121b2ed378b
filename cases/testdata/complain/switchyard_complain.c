// SPDX-License-Identifier: GPL-2.0
/*
 * Makes the kernel report bugs of several kinds, to see that they are found
 * in its log and named. Knobs in debugfs, folder switchyard_complain; writing
 * 1 to one brings about
 *   warn    a WARN
 *   bug     a BUG, which ends the writer
 *   null    a NULL pointer dereference, which ends the writer
 *   atomic  a schedule() with bottom halves off, which every kernel counts
 *           (preempt_disable() counts with CONFIG_PREEMPT_COUNT alone)
 */
#include <linux/bottom_half.h>
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/uaccess.h>

static struct dentry *dir;

static noinline void complain_warn(void)
{
	WARN(1, "switchyard asked for this\n");
}

static noinline void complain_bug(void)
{
	BUG();
}

static noinline void complain_null(void)
{
	int *nowhere = NULL;

	/* Hidden from the compiler, which would turn it into a trap. */
	OPTIMIZER_HIDE_VAR(nowhere);
	WRITE_ONCE(*nowhere, 1);
}

static noinline void complain_atomic(void)
{
	local_bh_disable();
	schedule();
	local_bh_enable();
}

static ssize_t complain_write(struct file *file, const char __user *buf, size_t len, loff_t *ppos)
{
	void (*complain)(void) = file_inode(file)->i_private;
	char first;

	if (get_user(first, buf))
		return -EFAULT;
	/* A shell may write the end of the line by itself. */
	if (first == '1')
		complain();
	return len;
}

static const struct file_operations complain_fops = {
	.owner = THIS_MODULE,
	.open = nonseekable_open,
	.write = complain_write,
};

static int __init complain_init(void)
{
	dir = debugfs_create_dir("switchyard_complain", NULL);
	if (IS_ERR(dir))
		return PTR_ERR(dir);
	debugfs_create_file("warn", 0200, dir, complain_warn, &complain_fops);
	debugfs_create_file("bug", 0200, dir, complain_bug, &complain_fops);
	debugfs_create_file("null", 0200, dir, complain_null, &complain_fops);
	debugfs_create_file("atomic", 0200, dir, complain_atomic, &complain_fops);
	return 0;
}

static void __exit complain_exit(void)
{
	debugfs_remove_recursive(dir);
}

module_init(complain_init);
module_exit(complain_exit);
MODULE_DESCRIPTION("Makes the kernel report bugs");
MODULE_LICENSE("GPL");
