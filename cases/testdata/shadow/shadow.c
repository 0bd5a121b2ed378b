// SPDX-License-Identifier: GPL-2.0
/*
 * Callbacks and a shadow variable: each reader of /proc/cmdline is counted in a
 * variable attached to init_task. The callbacks account for it: none may be
 * there before, and as many are freed as were made.
 */
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/sched/task.h>
#include <linux/seq_file.h>

#define READS_ID 0x5377

static atomic_t made = ATOMIC_INIT(0);
static atomic_t freed = ATOMIC_INIT(0);

static int reads_ctor(void *obj, void *shadow, void *ctor_data)
{
	atomic_set(shadow, 0);
	atomic_inc(&made);
	return 0;
}

static void reads_dtor(void *obj, void *shadow)
{
	atomic_inc(&freed);
}

static int patched_cmdline_proc_show(struct seq_file *m, void *v)
{
	atomic_t *reads;

	reads = klp_shadow_get_or_alloc(&init_task, READS_ID, sizeof(*reads),
					GFP_KERNEL, reads_ctor, NULL);
	if (!reads)
		return -ENOMEM;
	seq_printf(m, "read %d times since patched\n", atomic_inc_return(reads));
	return 0;
}

static int pre_patch(struct klp_object *obj)
{
	if (klp_shadow_get(&init_task, READS_ID)) {
		pr_err("switchyard_shadow: a variable leaked from an earlier patch\n");
		return -EEXIST;
	}
	pr_info("switchyard_shadow: pre_patch\n");
	return 0;
}

static void post_patch(struct klp_object *obj)
{
	pr_info("switchyard_shadow: post_patch\n");
}

static void pre_unpatch(struct klp_object *obj)
{
	pr_info("switchyard_shadow: pre_unpatch\n");
}

static void post_unpatch(struct klp_object *obj)
{
	klp_shadow_free_all(READS_ID, reads_dtor);
	pr_info("switchyard_shadow: post_unpatch made=%d freed=%d\n",
		atomic_read(&made), atomic_read(&freed));
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
		.callbacks = {
			.pre_patch = pre_patch,
			.post_patch = post_patch,
			.pre_unpatch = pre_unpatch,
			.post_unpatch = post_unpatch,
		},
	},
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init shadow_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit shadow_exit(void)
{
}

module_init(shadow_init);
module_exit(shadow_exit);
MODULE_DESCRIPTION("/proc/cmdline counts its readers in a shadow variable");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
