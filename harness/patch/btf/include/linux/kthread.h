/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/err.h>
#include <linux/sched.h>
#define NUMA_NO_NODE (-1)
#define kthread_create(threadfn, data, namefmt, arg...) \
	kthread_create_on_node(threadfn, data, NUMA_NO_NODE, namefmt, ##arg)
#define kthread_run(threadfn, data, namefmt, ...) ({ \
	struct task_struct *___k = kthread_create(threadfn, data, namefmt, ##__VA_ARGS__); \
	if (!IS_ERR(___k)) \
		wake_up_process(___k); \
	___k; })
