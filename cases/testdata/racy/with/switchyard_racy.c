// SPDX-License-Identifier: GPL-2.0
/*
 * A ledger with one entry. Each reader of /proc/switchyard_racy takes a moment
 * and writes the entry. Readers may overlap: they all write the same.
 */
#include <linux/delay.h>
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>

/* No function may be the first: the kernel may lose its place (docs/diagnoses.md). */
asm(".pushsection .text; .skip 16, 0xcc; .popsection");

/* The patch has a copy of these. */
#define RACY_ENTRY	0x01d01d01

struct racy_ledger {
	u32 entry;
};

static struct racy_ledger ledger = { .entry = RACY_ENTRY };

static noinline int racy_show(struct seq_file *m, void *v)
{
	struct racy_ledger *l = m->private;

	usleep_range(400, 450);
	WRITE_ONCE(l->entry, RACY_ENTRY);
	seq_puts(m, "racy: original\n");
	return 0;
}

static int __init racy_init(void)
{
	if (!proc_create_single_data("switchyard_racy", 0444, NULL, racy_show, &ledger))
		return -ENOMEM;
	return 0;
}

static void __exit racy_exit(void)
{
	remove_proc_entry("switchyard_racy", NULL);
}

module_init(racy_init);
module_exit(racy_exit);
MODULE_DESCRIPTION("A module whose data a patch gives another form");
MODULE_LICENSE("GPL");
