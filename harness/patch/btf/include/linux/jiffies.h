/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/types.h>
extern unsigned long volatile jiffies;
#define HZ CONFIG_HZ
#define time_after(a, b) ((long)((b) - (a)) < 0)
#define time_before(a, b) time_after(b, a)
#if !HAVE_EXPORT_msecs_to_jiffies
#define msecs_to_jiffies(m) __msecs_to_jiffies(m)
#endif
