/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/types.h>
/*
 * A kernel that can preempt itself counts; one that cannot need not. The
 * low half of the count is all that is touched, which is right for the 64-bit
 * count of 7.3 too. preempt_schedule() looks for itself whether it may.
 */
#if HAVE_EXPORT_preempt_schedule
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
#define preempt_disable() \
	asm volatile("incl %%gs:%c0" : : __PREEMPT_COUNT : "memory", "cc")
#define preempt_enable_no_resched() \
	asm volatile("decl %%gs:%c0" : : __PREEMPT_COUNT : "memory", "cc")
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
