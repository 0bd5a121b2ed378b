// SPDX-License-Identifier: GPL-2.0
/*
 * Patches the main loop of a kernel thread, which therefore cannot switch.
 */
#include <linux/delay.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/livepatch.h>
#include <linux/module.h>

static int patched_loop_main(void *unused)
{
	while (!kthread_should_stop())
		msleep_interruptible(100);
	return 0;
}

static struct klp_func funcs[] = {
	{
		.old_name = "loop_main",
		.new_func = patched_loop_main,
	},
	{ }
};

static struct klp_object objs[] = {
	{
		.name = "switchyard_loop",
		.funcs = funcs,
	},
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init loop_patch_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit loop_patch_exit(void)
{
}

module_init(loop_patch_init);
module_exit(loop_patch_exit);
MODULE_DESCRIPTION("The loop turns more slowly");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
