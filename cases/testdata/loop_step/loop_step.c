// SPDX-License-Identifier: GPL-2.0
/*
 * Patches what the main loop of a kernel thread calls: the thread can switch
 * whenever it sleeps. Parameter turns: how often the new code ran.
 */
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>

static unsigned long turns;
module_param(turns, ulong, 0444);

static void patched_loop_step(void)
{
	WRITE_ONCE(turns, turns + 1);
}

static struct klp_func funcs[] = {
	{
		.old_name = "loop_step",
		.new_func = patched_loop_step,
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

static int __init loop_step_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit loop_step_exit(void)
{
}

module_init(loop_step_init);
module_exit(loop_step_exit);
MODULE_DESCRIPTION("A turn of the loop is counted elsewhere");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
