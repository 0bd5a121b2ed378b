// SPDX-License-Identifier: GPL-2.0
/*
 * An atomic replace: it takes the place of every patch before it, and what it
 * does not patch itself goes back to the original code.
 */
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

static int patched_version_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "replaced version\n");
	return 0;
}

static struct klp_func funcs[] = {
	{
		.old_name = "version_proc_show",
		.new_func = patched_version_proc_show,
	},
	{ }
};

static struct klp_object objs[] = {
	{
		/* no name: vmlinux */
		.funcs = funcs,
	},
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
	.replace = true,
};

static int __init replace_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit replace_exit(void)
{
}

module_init(replace_init);
module_exit(replace_exit);
MODULE_DESCRIPTION("/proc/version says that it replaced the patches before it");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
