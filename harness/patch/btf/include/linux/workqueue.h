/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/list.h>
#include <linux/types.h>
/* Macros from 6.9 on, made of the same numbers: include/linux/workqueue.h. */
#define __WORK_NO_POOL ((long)(((1UL << WORK_OFFQ_POOL_BITS) - 1) << WORK_OFFQ_POOL_SHIFT))
#define INIT_WORK(work, fn) do { \
	struct work_struct *___w = (work); \
	*___w = (struct work_struct){ .func = (fn) }; \
	___w->data.counter = __WORK_NO_POOL; \
	INIT_LIST_HEAD(&___w->entry); } while (0)
#if HAVE_EXPORT_system_percpu_wq
extern struct workqueue_struct *system_percpu_wq;
#define __SYSTEM_WQ system_percpu_wq
#else
extern struct workqueue_struct *system_wq;
#define __SYSTEM_WQ system_wq
#endif
#define queue_work(wq, work) queue_work_on(WORK_CPU_UNBOUND, wq, work)
#define schedule_work(work) queue_work(__SYSTEM_WQ, work)
