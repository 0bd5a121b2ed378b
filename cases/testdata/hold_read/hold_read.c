// SPDX-License-Identifier: GPL-2.0
/*
 * Patches the function that calls the one where HOLD parks tasks: of the two it
 * is its return address that a return probe on hold_park() hides.
 */
#include <linux/fs.h>
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>

static ssize_t patched_hold_read(struct file *file, char __user *buf, size_t len,
				 loff_t *ppos)
{
	return 0;
}

static struct klp_func funcs[] = {
	{
		.old_name = "hold_read",
		.new_func = patched_hold_read,
	},
	{ }
};

static struct klp_object objs[] = {
	{
		.name = "switchyard_hold",
		.funcs = funcs,
	},
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init hold_read_patch_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit hold_read_patch_exit(void)
{
}

module_init(hold_read_patch_init);
module_exit(hold_read_patch_exit);
MODULE_DESCRIPTION("Readers get nothing");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
