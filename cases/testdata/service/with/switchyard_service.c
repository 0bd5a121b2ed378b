// SPDX-License-Identifier: GPL-2.0
/*
 * A service that others rely on: /proc/switchyard_service can be read at any
 * time.
 */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

/* No function may be the first: the kernel may lose its place (docs/diagnoses.md). */
asm(".pushsection .text; .skip 16, 0xcc; .popsection");

static noinline int service_show(struct seq_file *m, void *v)
{
	seq_puts(m, "service: original\n");
	return 0;
}

static int __init service_init(void)
{
	if (!proc_create_single("switchyard_service", 0444, NULL, service_show))
		return -ENOMEM;
	return 0;
}

static void __exit service_exit(void)
{
	remove_proc_entry("switchyard_service", NULL);
}

module_init(service_init);
module_exit(service_exit);
MODULE_DESCRIPTION("A service that is there, until somebody patches it");
MODULE_LICENSE("GPL");
