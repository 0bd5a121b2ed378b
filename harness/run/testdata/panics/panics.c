// SPDX-License-Identifier: GPL-2.0
/*
 * Reading /proc/cmdline panics once this patch is applied.
 */
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

static int patched_cmdline_proc_show(struct seq_file *m, void *v)
{
	panic("switchyard asked for this");
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

static int __init panics_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit panics_exit(void)
{
}

module_init(panics_init);
module_exit(panics_exit);
MODULE_DESCRIPTION("/proc/cmdline panics");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
