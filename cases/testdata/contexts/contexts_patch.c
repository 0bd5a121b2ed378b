// SPDX-License-Identifier: GPL-2.0
/*
 * Replaces the function that CONTEXTS calls in every context. The new one does
 * not count.
 */
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>

static int patched_contexts_touch(int where)
{
	return -where;
}

static struct klp_func funcs[] = {
	{
		.old_name = "contexts_touch",
		.new_func = patched_contexts_touch,
	},
	{ }
};

static struct klp_object objs[] = {
	{
		.name = "switchyard_contexts",
		.funcs = funcs,
	},
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init contexts_patch_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit contexts_patch_exit(void)
{
}

module_init(contexts_patch_init);
module_exit(contexts_patch_exit);
MODULE_DESCRIPTION("contexts_touch() counts no more");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
