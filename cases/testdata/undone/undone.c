// SPDX-License-Identifier: GPL-2.0
/*
 * The upper of two patches on one function (see stack_one). A while after its
 * transition is complete it puts itself below the other, behind the core's
 * back: sysfs goes on to say that it is applied, and its code runs no more.
 */
#include <linux/jiffies.h>
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/rculist.h>
#include <linux/seq_file.h>
#include <linux/workqueue.h>

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

static void undo(struct work_struct *work)
{
	/* The core's list has two functions on it, and a head. */
	list_move_tail(&funcs[0].stack_node, funcs[0].stack_node.prev);
}
static DECLARE_DELAYED_WORK(undoing, undo);

static void post_patch(struct klp_object *obj)
{
	schedule_delayed_work(&undoing, msecs_to_jiffies(200));
}

static void pre_unpatch(struct klp_object *obj)
{
	cancel_delayed_work_sync(&undoing);
}

static struct klp_object objs[] = {
	{
		/* no name: vmlinux */
		.funcs = funcs,
		.callbacks = {
			.post_patch = post_patch,
			.pre_unpatch = pre_unpatch,
		},
	},
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init undone_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit undone_exit(void)
{
}

module_init(undone_init);
module_exit(undone_exit);
MODULE_DESCRIPTION("A patch that undoes itself");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
