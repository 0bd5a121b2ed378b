// SPDX-License-Identifier: GPL-2.0
/*
 * Has the tables of a live patch and lacks the mark (MODULE_INFO livepatch):
 * the core must refuse it.
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

static int __init unmarked_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit unmarked_exit(void)
{
}

module_init(unmarked_init);
module_exit(unmarked_exit);
MODULE_DESCRIPTION("A live patch without the mark");
MODULE_LICENSE("GPL");
