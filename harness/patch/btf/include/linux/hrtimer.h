/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/ktime.h>
#define CLOCK_MONOTONIC 1
#define hrtimer_start(timer, time, mode) hrtimer_start_range_ns(timer, time, 0, mode)
