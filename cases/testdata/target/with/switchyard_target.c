// SPDX-License-Identifier: GPL-2.0
/*
 * A module to be patched: /proc/switchyard_target says which version of
 * target_show() ran.
 */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

/* No function may be the first: the kernel may lose its place (docs/diagnoses.md). */
asm(".pushsection .text; .skip 16, 0xcc; .popsection");

static noinline int target_show(struct seq_file *m, void *v)
{
	seq_puts(m, "target: original\n");
	return 0;
}

static int __init target_init(void)
{
	if (!proc_create_single("switchyard_target", 0444, NULL, target_show))
		return -ENOMEM;
	return 0;
}

static void __exit target_exit(void)
{
	remove_proc_entry("switchyard_target", NULL);
}

module_init(target_init);
module_exit(target_exit);
MODULE_DESCRIPTION("A module to be patched");
MODULE_LICENSE("GPL");
