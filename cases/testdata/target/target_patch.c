// SPDX-License-Identifier: GPL-2.0
/*
 * Patches a function of a module: of one that is there, or of one that comes
 * later.
 */
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

static int patched_target_show(struct seq_file *m, void *v)
{
	seq_puts(m, "target: patched\n");
	return 0;
}

static struct klp_func funcs[] = {
	{
		.old_name = "target_show",
		.new_func = patched_target_show,
	},
	{ }
};

static struct klp_object objs[] = {
	{
		.name = "switchyard_target",
		.funcs = funcs,
	},
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init target_patch_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit target_patch_exit(void)
{
}

module_init(target_patch_init);
module_exit(target_patch_exit);
MODULE_DESCRIPTION("/proc/switchyard_target says that it is patched");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
