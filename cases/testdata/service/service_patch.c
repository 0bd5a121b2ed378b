// SPDX-License-Identifier: GPL-2.0
/*
 * A patch with a bug that shows only while its transition runs: it takes the
 * service away before the first task switches and puts it back when the last
 * one has, as if nothing could come in between. A task that sleeps in
 * hold_park(), which is patched as well, comes in between.
 */
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

#define SERVICE "switchyard_service"

static int patched_service_show(struct seq_file *m, void *v)
{
	seq_puts(m, "service: patched\n");
	return 0;
}

/* The parameter is HOLD's enum hold_mode. */
static int patched_hold_park(int mode)
{
	return 0;
}

static struct klp_func service_funcs[] = {
	{
		.old_name = "service_show",
		.new_func = patched_service_show,
	},
	{ }
};

static struct klp_func hold_funcs[] = {
	{
		.old_name = "hold_park",
		.new_func = patched_hold_park,
	},
	{ }
};

static int unregister(struct klp_object *obj)
{
	remove_proc_entry(SERVICE, NULL);
	return 0;
}

/* The original, which calls whatever is patched over it. */
static void reregister(struct klp_object *obj)
{
	if (!proc_create_single(SERVICE, 0444, NULL, service_funcs[0].old_func))
		pr_err(SERVICE ": cannot be put back\n");
}

static void unregister_again(struct klp_object *obj)
{
	unregister(obj);
}

static struct klp_object objs[] = {
	{
		.name = "switchyard_service",
		.funcs = service_funcs,
		.callbacks = {
			.pre_patch = unregister,
			.post_patch = reregister,
			.pre_unpatch = unregister_again,
			.post_unpatch = reregister,
		},
	},
	{
		.name = "switchyard_hold",
		.funcs = hold_funcs,
	},
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init service_patch_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit service_patch_exit(void)
{
}

module_init(service_patch_init);
module_exit(service_patch_exit);
MODULE_DESCRIPTION("Takes a service away for as long as the transition takes");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
