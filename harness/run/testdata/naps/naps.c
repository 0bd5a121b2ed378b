// SPDX-License-Identifier: GPL-2.0
/*
 * The function that the kthread of NAPS sleeps in: the transition stalls.
 */
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>

static int patched_nap(void *unused)
{
	return 0;
}

static struct klp_func funcs[] = {
	{
		.old_name = "nap",
		.new_func = patched_nap,
	},
	{ }
};

static struct klp_object objs[] = {
	{
		.name = "switchyard_naps",
		.funcs = funcs,
	},
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init naps_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit naps_exit(void)
{
}

module_init(naps_init);
module_exit(naps_exit);
MODULE_DESCRIPTION("No naps any more");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
