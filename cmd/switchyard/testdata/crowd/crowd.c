// SPDX-License-Identifier: GPL-2.0
/*
 * Patches the function that DOZE's thread sleeps in, among others that nobody
 * sleeps in: only the one holds the transition up.
 */
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

static int crowd_version(struct seq_file *m, void *v)
{
	seq_puts(m, "crowd\n");
	return 0;
}

static int crowd_nap(void)
{
	return 0;
}

static int crowd_loadavg(struct seq_file *m, void *v)
{
	seq_puts(m, "0.00 0.00 0.00 1/1 1\n");
	return 0;
}

static struct klp_func vmlinux_funcs[] = {
	{
		.old_name = "version_proc_show",
		.new_func = crowd_version,
	},
	{
		.old_name = "loadavg_proc_show",
		.new_func = crowd_loadavg,
	},
	{ }
};

static struct klp_func doze_funcs[] = {
	{
		.old_name = "doze_nap",
		.new_func = crowd_nap,
	},
	{ }
};

static struct klp_object objs[] = {
	{
		/* no name: vmlinux */
		.funcs = vmlinux_funcs,
	},
	{
		.name = "switchyard_doze",
		.funcs = doze_funcs,
	},
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init crowd_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit crowd_exit(void)
{
}

module_init(crowd_init);
module_exit(crowd_exit);
MODULE_DESCRIPTION("One function that somebody sleeps in, among others");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
