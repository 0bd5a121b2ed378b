/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/list.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#define __WAIT_QUEUE_HEAD_INITIALIZER(name) \
	{ .lock = __SPIN_LOCK_UNLOCKED(name.lock), .head = LIST_HEAD_INIT(name.head) }
#define DECLARE_WAIT_QUEUE_HEAD(name) \
	struct wait_queue_head name = __WAIT_QUEUE_HEAD_INITIALIZER(name)
#define init_waitqueue_head(q) do { \
	spin_lock_init(&(q)->lock); INIT_LIST_HEAD(&(q)->head); } while (0)
#define wake_up(q) __wake_up(q, TASK_NORMAL, 1, NULL)
#define wake_up_nr(q, nr) __wake_up(q, TASK_NORMAL, nr, NULL)
#define wake_up_all(q) __wake_up(q, TASK_NORMAL, 0, NULL)
#define wake_up_interruptible(q) __wake_up(q, TASK_INTERRUPTIBLE, 1, NULL)
#define wake_up_interruptible_all(q) __wake_up(q, TASK_INTERRUPTIBLE, 0, NULL)
#define __WAIT_EVENT(q, condition, state, sleep) ({ \
	__label__ ___out; \
	long ___err = 0; \
	struct wait_queue_entry ___entry; \
	init_wait_entry(&___entry, 0); \
	for (;;) { \
		long ___int = prepare_to_wait_event(&(q), &___entry, state); \
		if (condition) \
			break; \
		if (((state) & (TASK_INTERRUPTIBLE | TASK_WAKEKILL)) && ___int) { \
			___err = ___int; \
			goto ___out; \
		} \
		sleep; \
	} \
	finish_wait(&(q), &___entry); \
___out: ___err; })
#define __wait_event_in(q, condition, state) ({ \
	int ___ret = 0; \
	if (!(condition)) \
		___ret = __WAIT_EVENT(q, condition, state, schedule()); \
	___ret; })
#define wait_event(q, condition) ((void)__wait_event_in(q, condition, TASK_UNINTERRUPTIBLE))
#define wait_event_idle(q, condition) ((void)__wait_event_in(q, condition, TASK_IDLE))
#define wait_event_interruptible(q, condition) __wait_event_in(q, condition, TASK_INTERRUPTIBLE)
#define wait_event_killable(q, condition) __wait_event_in(q, condition, TASK_KILLABLE)
#define __wait_event_for(q, condition, timeout, state) ({ \
	long ___left = (timeout); \
	long ___ret = 0; \
	if (!(condition)) \
		___ret = __WAIT_EVENT(q, (condition) || !___left, state, ___left = schedule_timeout(___left)); \
	___ret ? ___ret : (condition) ? max(___left, 1L) : 0L; })
#define wait_event_timeout(q, condition, timeout) \
	__wait_event_for(q, condition, timeout, TASK_UNINTERRUPTIBLE)
#define wait_event_interruptible_timeout(q, condition, timeout) \
	__wait_event_for(q, condition, timeout, TASK_INTERRUPTIBLE)
