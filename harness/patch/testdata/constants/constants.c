// SPDX-License-Identifier: GPL-2.0
/*
 * What our own headers say, to be compared with what the kernel's say; never
 * loaded.
 */
#include <linux/atomic.h>
#include <linux/bottom_half.h>
#include <linux/bug.h>
#include <linux/debugfs.h>
#include <linux/err.h>
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/livepatch.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/preempt.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/stat.h>
#include <linux/wait.h>

const unsigned long constants[] = {
	TASK_RUNNING, TASK_INTERRUPTIBLE, TASK_UNINTERRUPTIBLE, TASK_WAKEKILL, TASK_NOLOAD,
	TASK_KILLABLE, TASK_IDLE, TASK_NORMAL, TASK_COMM_LEN, MAX_SCHEDULE_TIMEOUT,
	(unsigned long)__GFP_HIGH, (unsigned long)__GFP_IO, (unsigned long)__GFP_FS,
	(unsigned long)__GFP_ZERO, (unsigned long)__GFP_DIRECT_RECLAIM,
	(unsigned long)__GFP_KSWAPD_RECLAIM, (unsigned long)__GFP_NOWARN,
	(unsigned long)GFP_KERNEL, (unsigned long)GFP_NOFS, (unsigned long)GFP_NOIO,
	MAX_ERRNO, ENOMEM, EAGAIN, ETIMEDOUT, ERESTARTSYS, ENOTSUPP, EPROBE_DEFER,
	SIGKILL, SIGTERM, SIGUSR1, SIGUSR2,
	BUGFLAG_WARNING, BUGFLAG_ONCE, BUGFLAG_NO_CUT_HERE, BUGFLAG_TAINT(TAINT_WARN),
	S_IRUGO, S_IWUSR, SOFTIRQ_DISABLE_OFFSET, NUMA_NO_NODE,
	INT_MAX, UINT_MAX, LONG_MAX, ULONG_MAX, USHRT_MAX,
};

const unsigned long shapes[] = {
	sizeof(struct task_struct), offsetof(struct task_struct, comm), offsetof(struct task_struct, pid),
	offsetof(struct task_struct, usage), offsetof(struct task_struct, pending), offsetof(struct task_struct, nsproxy),
	sizeof(struct file), offsetof(struct file, f_inode), sizeof(struct inode), offsetof(struct inode, i_private),
	sizeof(struct file_operations), sizeof(struct seq_file), offsetof(struct seq_file, private),
	sizeof(struct klp_patch), sizeof(struct klp_object), sizeof(struct klp_func), offsetof(struct klp_func, old_sympos),
	offsetof(struct klp_object, callbacks), offsetof(struct klp_patch, replace),
	sizeof(struct wait_queue_head), sizeof(struct wait_queue_entry), sizeof(struct mutex), sizeof(spinlock_t),
	sizeof(atomic_t), sizeof(struct module), sizeof(struct kernel_param), sizeof(struct bug_entry),
	sizeof(gfp_t), sizeof(pid_t), sizeof(umode_t), sizeof(loff_t), sizeof(bool),
};

MODULE_DESCRIPTION("Constants");
MODULE_LICENSE("GPL");
