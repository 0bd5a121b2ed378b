// SPDX-License-Identifier: GPL-2.0
/*
 * Replaces the function behind /proc/cmdline, in vmlinux, by one that says
 * so. The smallest useful live patch: one object, one function, and its effect
 * can be read from user space.
 */
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

static int patched_cmdline_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "this has been live patched\n");
	return 0;
}

static struct klp_func funcs[] = {
	{
		.old_name = "cmdline_proc_show",
		.new_func = patched_cmdline_proc_show,
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
};

static int __init cmdline_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit cmdline_exit(void)
{
}

module_init(cmdline_init);
module_exit(cmdline_exit);
MODULE_DESCRIPTION("/proc/cmdline says that it has been live patched");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
