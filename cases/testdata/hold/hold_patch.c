// SPDX-License-Identifier: GPL-2.0
/*
 * Patches the very function that HOLD parks tasks in. The new one lets its
 * caller through at once.
 */
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>

/* The parameter is HOLD's enum hold_mode. */
static int patched_hold_park(int mode)
{
	return 0;
}

static struct klp_func funcs[] = {
	{
		.old_name = "hold_park",
		.new_func = patched_hold_park,
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

static int __init hold_patch_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit hold_patch_exit(void)
{
}

module_init(hold_patch_init);
module_exit(hold_patch_exit);
MODULE_DESCRIPTION("hold_park() parks nobody any more");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
