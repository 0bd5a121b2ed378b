// SPDX-License-Identifier: GPL-2.0
#include <linux/kernel.h>
#include <linux/seq_file.h>
#include "twin/twin.h"

static void __used which(struct seq_file *m)
{
	if (static_branch_unlikely(&twin_key))
		seq_puts(m, "key ");
}
