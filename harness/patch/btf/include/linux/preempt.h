/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/types.h>
/*
 * The low half of the count is all that is touched, which is right for the
 * 64-bit count of 7.3 too.
 */
#if HAVE_EXPORT___preempt_count
extern int __preempt_count;
#define __PREEMPT_COUNT "i"(&__preempt_count)
#else
extern struct pcpu_hot pcpu_hot;
#define __PREEMPT_COUNT "i"(&pcpu_hot.preempt_count)
#endif
#define preempt_count() ({ \
	unsigned int ___n; \
	asm volatile("movl %%gs:%c1,%0" : "=r"(___n) : __PREEMPT_COUNT : "memory"); \
	(int)(___n & 0x7fffffff); })
#define preempt_count_add(val) \
	asm volatile("addl %1,%%gs:%c0" : : __PREEMPT_COUNT, "er"((int)(val)) : "memory", "cc")
#define preempt_count_sub(val) preempt_count_add(-(val))
/*
 * A kernel that can preempt itself counts who forbids it; one that cannot need
 * not. preempt_schedule() looks for itself whether it may.
 */
#if HAVE_EXPORT_preempt_schedule
#define preempt_disable() preempt_count_add(1)
#define preempt_enable_no_resched() preempt_count_sub(1)
#define preempt_enable() do { \
	preempt_enable_no_resched(); \
	if (!preempt_count()) \
		preempt_schedule(); \
	} while (0)
#else
#define preempt_disable() barrier()
#define preempt_enable() barrier()
#define preempt_enable_no_resched() barrier()
#endif
