// SPDX-License-Identifier: GPL-2.0
#include <linux/kernel.h>
#include <linux/seq_file.h>
#include "twin/twin.h"

static void __used which(struct seq_file *m)
{
	seq_puts(m, "call ");
	static_call(twin_call)(m);
	seq_puts(m, "\n");
}
