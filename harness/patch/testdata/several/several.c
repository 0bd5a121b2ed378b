// SPDX-License-Identifier: GPL-2.0
/* Tables of several rows, to be read back; never loaded. */
#include <linux/livepatch.h>
#include <linux/module.h>

static int new_one(void)
{
	return 1;
}

static int new_two(void)
{
	return 2;
}

static struct klp_func vmlinux_funcs[] = {
	{ .old_name = "cmdline_proc_show", .new_func = new_one },
	{ .old_name = "version_proc_show", .new_func = new_two, .old_sympos = 1 },
	{ }
};

static struct klp_func dummy_funcs[] = {
	{ .old_name = "dummy_xmit", .new_func = new_one, .old_sympos = 2 },
	{ }
};

static struct klp_object objs[] = {
	{ .funcs = vmlinux_funcs },
	{ .name = "dummy", .funcs = dummy_funcs },
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
	.replace = true,
};

static int __init several_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit several_exit(void)
{
}

module_init(several_init);
module_exit(several_exit);
MODULE_DESCRIPTION("Tables of several rows");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
