// SPDX-License-Identifier: GPL-2.0
/*
 * Patches at once where three kinds of tasks sleep: readers of HOLD, a kernel
 * thread that never leaves its main loop, and a worker whose work does not end.
 */
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>

/* The parameter is HOLD's enum hold_mode. */
static int patched_hold_park(int mode)
{
	return 0;
}

static int patched_loop_main(void *unused)
{
	return 0;
}

static void patched_worker_wait(void)
{
}

static struct klp_func hold_funcs[] = {
	{
		.old_name = "hold_park",
		.new_func = patched_hold_park,
	},
	{ }
};

static struct klp_func loop_funcs[] = {
	{
		.old_name = "loop_main",
		.new_func = patched_loop_main,
	},
	{ }
};

static struct klp_func worker_funcs[] = {
	{
		.old_name = "worker_wait",
		.new_func = patched_worker_wait,
	},
	{ }
};

static struct klp_object objs[] = {
	{
		.name = "switchyard_hold",
		.funcs = hold_funcs,
	},
	{
		.name = "switchyard_loop",
		.funcs = loop_funcs,
	},
	{
		.name = "switchyard_worker",
		.funcs = worker_funcs,
	},
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init three_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit three_exit(void)
{
}

module_init(three_init);
module_exit(three_exit);
MODULE_DESCRIPTION("Nobody waits any more");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
