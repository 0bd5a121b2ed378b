/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/types.h>
#define NSEC_PER_USEC 1000L
#define NSEC_PER_MSEC 1000000L
#define NSEC_PER_SEC 1000000000L
/* ktime_t is the number of ns since 4.10. */
#define ktime_to_ns(kt) ((s64)(kt))
#define ns_to_ktime(ns) ((ktime_t)(ns))
#define ktime_get_ns() ktime_to_ns(ktime_get())
