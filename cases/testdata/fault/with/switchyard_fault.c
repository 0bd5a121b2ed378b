// SPDX-License-Identifier: GPL-2.0
/*
 * Parks a task in a page fault that the kernel took itself, in copy_to_user()
 * of the function fault_copy(): whoever reads "sleep" gets a mapping of that
 * very file, to which the page is long in coming.
 *
 * Knobs in debugfs, folder switchyard_fault:
 *   sleep     reading parks the reader, uninterruptibly
 *   release   writing lets everybody go
 *   parked    how many are parked
 * A parked reader gets "faulted" once it is let go: the page never comes, the
 * copy fails, and that is what the module expects.
 */
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/uaccess.h>
#include <linux/wait.h>

/* No function may be the first: the kernel may lose its place (docs/diagnoses.md). */
asm(".pushsection .text; .skip 16, 0xcc; .popsection");

static DECLARE_WAIT_QUEUE_HEAD(queue);
static struct dentry *dir;
static bool release;
static atomic_t parked = ATOMIC_INIT(0);
static unsigned long copies;

static vm_fault_t fault_park(struct vm_fault *vmf)
{
	atomic_inc(&parked);
	wait_event(queue, READ_ONCE(release));
	atomic_dec(&parked);
	return VM_FAULT_SIGBUS;
}

static const struct vm_operations_struct fault_vm_ops = {
	.fault = fault_park,
};

static int fault_mmap(struct file *file, struct vm_area_struct *vma)
{
	vma->vm_ops = &fault_vm_ops;
	return 0;
}

/* The function to patch: it lies below the exception on the stack. */
static noinline __noclone unsigned long fault_copy(unsigned long to)
{
	static const char text[] = "text";
	unsigned long left = copy_to_user((void __user *)to, text, sizeof(text));

	/* Something to come back for, or the copy would be a jump. */
	WRITE_ONCE(copies, copies + 1);
	return left;
}

static ssize_t fault_read(struct file *file, char __user *buf, size_t len, loff_t *ppos)
{
	static const char faulted[] = "faulted\n", copied[] = "copied\n";
	unsigned long at, left;

	if (*ppos)
		return 0;
	at = vm_mmap(file, 0, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE, 0);
	if (IS_ERR_VALUE(at))
		return at;
	left = fault_copy(at);
	vm_munmap(at, PAGE_SIZE);
	if (left)
		return simple_read_from_buffer(buf, len, ppos, faulted, sizeof(faulted) - 1);
	return simple_read_from_buffer(buf, len, ppos, copied, sizeof(copied) - 1);
}

static const struct file_operations fault_fops = {
	.owner = THIS_MODULE,
	.open = nonseekable_open,
	.read = fault_read,
	.mmap = fault_mmap,
};

static ssize_t release_write(struct file *file, const char __user *buf, size_t len, loff_t *ppos)
{
	WRITE_ONCE(release, true);
	wake_up_all(&queue);
	return len;
}

static const struct file_operations release_fops = {
	.owner = THIS_MODULE,
	.open = nonseekable_open,
	.write = release_write,
};

static int __init fault_init(void)
{
	dir = debugfs_create_dir("switchyard_fault", NULL);
	if (IS_ERR(dir))
		return PTR_ERR(dir);
	/* _unsafe: the proxy passes no mmap on. */
	debugfs_create_file_unsafe("sleep", 0400, dir, NULL, &fault_fops);
	debugfs_create_file_unsafe("release", 0200, dir, NULL, &release_fops);
	debugfs_create_atomic_t("parked", 0400, dir, &parked);
	return 0;
}

static void __exit fault_exit(void)
{
	debugfs_remove_recursive(dir);
}

module_init(fault_init);
module_exit(fault_exit);
MODULE_DESCRIPTION("Parks tasks in a page fault");
MODULE_LICENSE("GPL");
