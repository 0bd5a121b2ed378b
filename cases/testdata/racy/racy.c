// SPDX-License-Identifier: GPL-2.0
/*
 * A patch with a bug that shows only if tasks meet: the new code has another
 * form of the ledger's entry, and the first call of it converts the entry, as
 * if nobody could still be in the old code. A task that sleeps there when the
 * patch comes, and is overtaken by one in the new code, writes the old form
 * over the new one.
 */
#include <linux/kernel.h>
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/seq_file.h>

/* As in the target module. */
#define RACY_NEW_ENTRY	0x0ee00ee0

struct racy_ledger {
	u32 entry;
};

static bool converted;

static int patched_racy_show(struct seq_file *m, void *v)
{
	struct racy_ledger *l = m->private;
	bool torn = converted && READ_ONCE(l->entry) != RACY_NEW_ENTRY;

	converted = true;
	WRITE_ONCE(l->entry, RACY_NEW_ENTRY);
	seq_puts(m, torn ? "racy: torn\n" : "racy: patched\n");
	return 0;
}

static struct klp_func funcs[] = {
	{
		.old_name = "racy_show",
		.new_func = patched_racy_show,
	},
	{ }
};

static struct klp_object objs[] = {
	{
		.name = "switchyard_racy",
		.funcs = funcs,
	},
	{ }
};

static struct klp_patch patch = {
	.mod = THIS_MODULE,
	.objs = objs,
};

static int __init racy_init(void)
{
	return klp_enable_patch(&patch);
}

static void __exit racy_exit(void)
{
}

module_init(racy_init);
module_exit(racy_exit);
MODULE_DESCRIPTION("Gives the data of a running module another form, too early");
MODULE_LICENSE("GPL");
MODULE_INFO(livepatch, "Y");
