/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/fs.h>
#include <linux/seq_file.h>
#define proc_create_single(name, mode, parent, show) \
	proc_create_single_data(name, mode, parent, show, NULL)
#define proc_create_seq(name, mode, parent, ops) \
	proc_create_seq_private(name, mode, parent, ops, 0, NULL)
