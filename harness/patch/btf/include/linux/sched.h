/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <asm/current.h>
#include <linux/atomic.h>
#include <linux/list.h>
#include <linux/pid.h>
#include <linux/preempt.h>
/* include/linux/sched.h, 5.10 to 7.3 */
#define TASK_RUNNING 0x0000
#define TASK_INTERRUPTIBLE 0x0001
#define TASK_UNINTERRUPTIBLE 0x0002
#define TASK_WAKEKILL 0x0100
#define TASK_NOLOAD 0x0400
#define TASK_KILLABLE (TASK_WAKEKILL | TASK_UNINTERRUPTIBLE)
#define TASK_IDLE (TASK_UNINTERRUPTIBLE | TASK_NOLOAD)
#define TASK_NORMAL (TASK_INTERRUPTIBLE | TASK_UNINTERRUPTIBLE)
#define TASK_COMM_LEN 16
#define MAX_SCHEDULE_TIMEOUT LONG_MAX
#if HAVE_FIELD___state_OF_task_struct
#define __TASK_STATE(task) ((task)->__state)
#else
#define __TASK_STATE(task) ((task)->state)
#endif
#define __set_current_state(s) WRITE_ONCE(__TASK_STATE(current), s)
#define set_current_state(s) smp_store_mb(__TASK_STATE(current), s)
/*
 * Through the trampoline where there is one: what cond_resched() does is
 * changed at run time (PREEMPT_DYNAMIC; livepatch, 6.4 to 6.16).
 */
#if HAVE_EXPORT___SCT__cond_resched
extern int __SCT__cond_resched(void);
#define cond_resched() __SCT__cond_resched()
#elif HAVE_EXPORT___cond_resched
#define cond_resched() __cond_resched()
#elif HAVE_EXPORT__cond_resched
#define cond_resched() _cond_resched()
#endif
static inline pid_t task_pid_nr(struct task_struct *task) { return task->pid; }
