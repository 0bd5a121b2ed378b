// SPDX-License-Identifier: GPL-2.0
/*
 * Names a function that no kernel has: the core must refuse it.
 */
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

static int patched_cmdline_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "never seen\n");
	return 0;
}

static struct klp_func funcs[] = {
	{
		.old_name = "switchyard_no_such_function",
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

static int __init unknown_function_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit unknown_function_exit(void)
{
}

module_init(unknown_function_init);
module_exit(unknown_function_exit);
MODULE_DESCRIPTION("A patch for a function that does not exist");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
