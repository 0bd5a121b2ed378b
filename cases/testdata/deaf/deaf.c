// SPDX-License-Identifier: GPL-2.0
/*
 * The patch of cmdline, which keeps all interrupts from CPU 0 for `ms`
 * milliseconds before it is enabled: an interruption of a length that is known.
 */
#include <linux/irqflags.h>
#include <linux/kernel.h>
#include <linux/ktime.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/smp.h>

static unsigned int ms = 30;
module_param(ms, uint, 0444);
MODULE_PARM_DESC(ms, "for how long, in ms");

static int patched_cmdline_proc_show(struct seq_file *m, void *v)
{
	seq_puts(m, "this has been live patched\n");
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

/* Called with interrupts off, on whichever CPU. */
static void deaf(void *unused)
{
	s64 until = ktime_get() + (s64)ms * 1000000;

	while (ktime_get() < until)
		cpu_relax();
}

static int __init deaf_init(void)
{
	int err = smp_call_function_single(0, deaf, NULL, 1);

	return err ? err : klp_enable_patch(&patch);
}

static void __exit deaf_exit(void)
{
}

module_init(deaf_init);
module_exit(deaf_exit);
MODULE_DESCRIPTION("Keeps interrupts from a CPU for a while, then patches");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
