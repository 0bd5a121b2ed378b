/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/preempt.h>
#if HAVE_FIELD_softirq_disable_cnt_OF_task_struct
#error "this kernel counts disabled bottom halves by task (CONFIG_PREEMPT_RT), in a way that an image does not tell"
#endif
/* include/linux/preempt.h: the second byte counts, and odd is "serving one". */
#define SOFTIRQ_DISABLE_OFFSET (2 * (1UL << 8))
#define local_bh_disable() preempt_count_add(SOFTIRQ_DISABLE_OFFSET)
#define local_bh_enable() \
	__local_bh_enable_ip((unsigned long)__builtin_return_address(0), SOFTIRQ_DISABLE_OFFSET)
