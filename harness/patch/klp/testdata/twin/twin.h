/* SPDX-License-Identifier: GPL-2.0 */
#include <linux/jump_label.h>
#include <linux/static_call.h>

struct seq_file;

extern int twin_hold, twin_warn;
void second_show(struct seq_file *m);
void twin_helper(struct seq_file *m);
void twin_exported(struct seq_file *m);

DECLARE_STATIC_KEY_FALSE(twin_key);
DECLARE_STATIC_CALL(twin_call, twin_helper);
