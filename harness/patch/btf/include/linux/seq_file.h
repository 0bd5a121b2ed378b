/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/fs.h>
#include <linux/string.h>
#if !HAVE_EXPORT_seq_puts
#define seq_puts(m, s) __seq_puts(m, s)
#endif
#define DEFINE_SHOW_ATTRIBUTE(name) \
static int name##_open(struct inode *inode, struct file *file) \
{ \
	return single_open(file, name##_show, inode->i_private); \
} \
static const struct file_operations name##_fops = { \
	.owner = THIS_MODULE, \
	.open = name##_open, \
	.read = seq_read, \
	.llseek = seq_lseek, \
	.release = single_release, \
}
