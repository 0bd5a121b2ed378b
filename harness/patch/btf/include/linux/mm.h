/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/fs.h>
/* x86-64 has no other. */
#define PAGE_SHIFT 12
#define PAGE_SIZE (1UL << PAGE_SHIFT)
