// SPDX-License-Identifier: GPL-2.0
/*
 * The upper of two patches on one function.
 */
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

static int patched_cmdline_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "stack two\n");
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

static int __init stack_two_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit stack_two_exit(void)
{
}

module_init(stack_two_init);
module_exit(stack_two_exit);
MODULE_DESCRIPTION("/proc/cmdline says: stack two");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
