// SPDX-License-Identifier: GPL-2.0
/*
 * A module with two static functions of one name, and two static variables:
 * /proc/switchyard_twin says what both did.
 */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include "twin.h"

int twin_hold;
module_param(twin_hold, int, 0644);
int twin_warn;
module_param(twin_warn, int, 0644);

DEFINE_STATIC_KEY_FALSE(twin_key);
DEFINE_STATIC_CALL(twin_call, twin_helper);

static int calls;

static noinline void which(struct seq_file *m)
{
	seq_printf(m, "first %d ", ++calls);
}

noinline void twin_helper(struct seq_file *m)
{
	seq_puts(m, "helper ");
}

noinline void twin_exported(struct seq_file *m)
{
	seq_puts(m, "exported ");
}
EXPORT_SYMBOL_GPL(twin_exported);

static int twin_show(struct seq_file *m, void *v)
{
	which(m);
	second_show(m);
	return 0;
}

static int __init twin_init(void)
{
	if (!proc_create_single("switchyard_twin", 0444, NULL, twin_show))
		return -ENOMEM;
	return 0;
}

static void __exit twin_exit(void)
{
	remove_proc_entry("switchyard_twin", NULL);
}

module_init(twin_init);
module_exit(twin_exit);
MODULE_DESCRIPTION("A module with names that occur twice");
MODULE_LICENSE("GPL");
