// SPDX-License-Identifier: GPL-2.0
/*
 * HOLD parks whoever asks for it inside one function, hold_park(), so that a
 * live patch of that function meets a task on it.
 *
 * Knobs in debugfs, folder switchyard_hold:
 *   interruptible    reading parks the reader in TASK_INTERRUPTIBLE
 *   uninterruptible  reading parks the reader in TASK_UNINTERRUPTIBLE
 *   busy             reading makes the reader spin, offering the CPU
 *   release          writing lets everybody go who is parked now
 *   parked           how many are parked
 *   hang             writing hangs the CPU with interrupts off, for good
 * A parked reader gets "held" once it is let go.
 */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/irqflags.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

/* No function may be the first: the kernel may lose its place (docs/diagnoses.md). */
asm(".pushsection .text; .skip 16, 0xcc; .popsection");

enum hold_mode { INTERRUPTIBLE, UNINTERRUPTIBLE, BUSY };

static struct dentry *dir;
static DECLARE_WAIT_QUEUE_HEAD(queue);
static atomic_t generation = ATOMIC_INIT(0);
static atomic_t parked = ATOMIC_INIT(0);

/* The function to patch: it stays on the stack of whoever is parked. */
static noinline int hold_park(enum hold_mode mode)
{
	int mine = atomic_read(&generation);
	int err = 0;

	atomic_inc(&parked);
	switch (mode) {
	case INTERRUPTIBLE:
		err = wait_event_interruptible(queue, atomic_read(&generation) != mine);
		break;
	case UNINTERRUPTIBLE:
		wait_event(queue, atomic_read(&generation) != mine);
		break;
	case BUSY:
		while (atomic_read(&generation) == mine && !fatal_signal_pending(current)) {
			cpu_relax();
			cond_resched();
		}
		break;
	}
	atomic_dec(&parked);
	return err;
}

static ssize_t hold_read(struct file *file, char __user *buf, size_t len, loff_t *ppos)
{
	static const char answer[] = "held\n";
	int err;

	if (*ppos)
		return 0;
	err = hold_park((enum hold_mode)(unsigned long)file_inode(file)->i_private);
	if (err)
		return err;
	return simple_read_from_buffer(buf, len, ppos, answer, sizeof(answer) - 1);
}

static const struct file_operations hold_fops = {
	.owner = THIS_MODULE,
	.open = nonseekable_open,
	.read = hold_read,
};

static ssize_t release_write(struct file *file, const char __user *buf, size_t len, loff_t *ppos)
{
	atomic_inc(&generation);
	wake_up_all(&queue);
	return len;
}

static const struct file_operations release_fops = {
	.owner = THIS_MODULE,
	.open = nonseekable_open,
	.write = release_write,
};

static ssize_t hang_write(struct file *file, const char __user *buf, size_t len, loff_t *ppos)
{
	local_irq_disable();
	for (;;)
		cpu_relax();
	return len;
}

static const struct file_operations hang_fops = {
	.owner = THIS_MODULE,
	.open = nonseekable_open,
	.write = hang_write,
};

static int __init hold_init(void)
{
	dir = debugfs_create_dir("switchyard_hold", NULL);
	if (IS_ERR(dir))
		return PTR_ERR(dir);
	/* _unsafe: the proxy would add a frame of its own to every stack. */
	debugfs_create_file_unsafe("interruptible", 0400, dir, (void *)INTERRUPTIBLE, &hold_fops);
	debugfs_create_file_unsafe("uninterruptible", 0400, dir, (void *)UNINTERRUPTIBLE, &hold_fops);
	debugfs_create_file_unsafe("busy", 0400, dir, (void *)BUSY, &hold_fops);
	debugfs_create_file_unsafe("release", 0200, dir, NULL, &release_fops);
	debugfs_create_file_unsafe("hang", 0200, dir, NULL, &hang_fops);
	debugfs_create_atomic_t("parked", 0400, dir, &parked);
	return 0;
}

static void __exit hold_exit(void)
{
	debugfs_remove_recursive(dir);
}

module_init(hold_init);
module_exit(hold_exit);
MODULE_DESCRIPTION("Parks tasks inside a function");
MODULE_LICENSE("GPL");
