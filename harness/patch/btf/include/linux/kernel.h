/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/errno.h>
#include <linux/printk.h>
#include <linux/bug.h>
#include <linux/string.h>
#define USHRT_MAX ((unsigned short)~0U)
#define INT_MAX ((int)(~0U >> 1))
#define UINT_MAX (~0U)
#define LONG_MAX ((long)(~0UL >> 1))
#define ULONG_MAX (~0UL)
#define U32_MAX ((u32)~0U)
#define U64_MAX ((u64)~0ULL)
#define might_sleep() do { } while (0)
#define upper_32_bits(n) ((u32)(((n) >> 16) >> 16))
#define lower_32_bits(n) ((u32)((n) & 0xffffffff))
#if !HAVE_EXPORT_kstrtoul && HAVE_EXPORT__kstrtoul
#define kstrtoul(s, base, res) _kstrtoul(s, base, res)
#endif
