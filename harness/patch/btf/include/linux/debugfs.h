/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/seq_file.h>
#if !HAVE_EXPORT_debugfs_create_file && HAVE_EXPORT_debugfs_create_file_full
#define debugfs_create_file(name, mode, parent, data, fops) \
	debugfs_create_file_full(name, mode, parent, data, NULL, fops)
#endif
#if !HAVE_EXPORT_debugfs_remove_recursive
#define debugfs_remove_recursive(dentry) debugfs_remove(dentry)
#endif
