// SPDX-License-Identifier: GPL-2.0
/*
 * twin/second.c after a change, as it would be compiled for a live patch: what
 * the module keeps to itself is undefined here.
 */
#include <linux/bug.h>
#include <linux/delay.h>
#include <linux/kernel.h>
#include <linux/seq_file.h>

extern int calls, twin_hold, twin_warn;
void twin_helper(struct seq_file *m);
void twin_exported(struct seq_file *m);

static void (*const steps[])(struct seq_file *m) = { twin_helper, twin_exported };

static void __used which(struct seq_file *m)
{
	static int mine;
	int i;

	calls += 10;
	seq_printf(m, "new %d %d ", calls, ++mine);
	for (i = 0; i < READ_ONCE(mine) && i < ARRAY_SIZE(steps); i++)
		steps[i](m);
	WARN(READ_ONCE(twin_warn), "switchyard: asked to\n");
	cmpxchg(&twin_hold, 1, 2); /* here */
	while (READ_ONCE(twin_hold))
		msleep(20);
}
