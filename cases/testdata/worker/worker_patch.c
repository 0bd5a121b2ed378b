// SPDX-License-Identifier: GPL-2.0
/*
 * Patches the function in which a work item waits.
 */
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>

static void patched_worker_wait(void)
{
}

static struct klp_func funcs[] = {
	{
		.old_name = "worker_wait",
		.new_func = patched_worker_wait,
	},
	{ }
};

static struct klp_object objs[] = {
	{
		.name = "switchyard_worker",
		.funcs = funcs,
	},
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init worker_patch_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit worker_patch_exit(void)
{
}

module_init(worker_patch_init);
module_exit(worker_patch_exit);
MODULE_DESCRIPTION("The work does not wait any more");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
