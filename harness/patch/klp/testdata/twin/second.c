// SPDX-License-Identifier: GPL-2.0
#include <linux/kernel.h>
#include <linux/seq_file.h>
#include "twin.h"

static int calls;

static noinline void which(struct seq_file *m)
{
	seq_printf(m, "second %d ", ++calls);
}

void second_show(struct seq_file *m)
{
	which(m);
	seq_puts(m, "\n");
}
