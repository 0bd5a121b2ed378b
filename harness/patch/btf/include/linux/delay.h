/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/sched.h>
#if !HAVE_EXPORT_usleep_range
#define usleep_range(min, max) usleep_range_state(min, max, TASK_UNINTERRUPTIBLE)
#endif
#define ssleep(seconds) msleep((seconds) * 1000)
#define udelay(n) __udelay(n)
#define ndelay(n) __ndelay(n)
#define mdelay(n) ({ unsigned long ___ms = (n); while (___ms--) udelay(1000); })
