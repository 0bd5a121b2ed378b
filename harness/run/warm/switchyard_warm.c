// SPDX-License-Identifier: GPL-2.0
/*
 * The first live patch of a guest, applied and reverted before the guest is
 * saved, so that its forks need not pay for what only the first one costs.
 * The function is replaced by one that does nothing of its own either.
 */
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

static int warm_cmdline_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "warm\n");
	return 0;
}

static struct klp_func funcs[] = {
	{
		.old_name = "cmdline_proc_show",
		.new_func = warm_cmdline_proc_show,
	},
	{ }
};

static struct klp_object objs[] = {
	{
		.funcs = funcs,
	},
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init warm_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit warm_exit(void)
{
}

module_init(warm_init);
module_exit(warm_exit);
MODULE_DESCRIPTION("The first live patch of a guest");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
