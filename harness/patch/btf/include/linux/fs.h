/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/module.h>
static inline struct inode *file_inode(const struct file *f) { return f->f_inode; }
