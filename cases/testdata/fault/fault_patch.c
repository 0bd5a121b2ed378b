// SPDX-License-Identifier: GPL-2.0
/*
 * Patches a function in whose copy_to_user() a task sleeps in a page fault.
 */
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>

static unsigned long patched_fault_copy(unsigned long to)
{
	return 0;
}

static struct klp_func funcs[] = {
	{
		.old_name = "fault_copy",
		.new_func = patched_fault_copy,
	},
	{ }
};

static struct klp_object objs[] = {
	{
		.name = "switchyard_fault",
		.funcs = funcs,
	},
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init fault_patch_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit fault_patch_exit(void)
{
}

module_init(fault_patch_init);
module_exit(fault_patch_exit);
MODULE_DESCRIPTION("Nothing is copied any more");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
