// SPDX-License-Identifier: GPL-2.0
/*
 * Patches the very function that DOZE's thread sleeps in.
 */
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>

static int patched_doze_nap(void)
{
	return 0;
}

static struct klp_func funcs[] = {
	{
		.old_name = "doze_nap",
		.new_func = patched_doze_nap,
	},
	{ }
};

static struct klp_object objs[] = {
	{
		.name = "switchyard_doze",
		.funcs = funcs,
	},
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init doze_patch_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit doze_patch_exit(void)
{
}

module_init(doze_patch_init);
module_exit(doze_patch_exit);
MODULE_DESCRIPTION("doze_nap() sends nobody to sleep any more");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
