// SPDX-License-Identifier: GPL-2.0
/*
 * DOZE is a kernel thread that lies in one function, doze_nap(), until
 * somebody wakes it. It sleeps uninterruptibly and for no condition, so that
 * neither a signal nor the core's wake-up at its 15th round reaches it. Once
 * woken it sleeps elsewhere.
 */
#include <linux/err.h>
#include <linux/kernel.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/sched.h>

/* No function may be the first: the kernel may lose its place (docs/diagnoses.md). */
asm(".pushsection .text; .skip 16, 0xcc; .popsection");

static struct task_struct *dozer;

/* The function to patch: it stays on the thread's stack. */
static noinline __noclone int doze_nap(void)
{
	set_current_state(TASK_UNINTERRUPTIBLE);
	schedule();
	return 0;
}

static int doze(void *unused)
{
	int err = doze_nap();

	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (kthread_should_stop())
			break;
		schedule();
	}
	__set_current_state(TASK_RUNNING);
	return err;
}

static int __init doze_init(void)
{
	dozer = kthread_run(doze, NULL, "dozer");
	return PTR_ERR_OR_ZERO(dozer);
}

static void __exit doze_exit(void)
{
	kthread_stop(dozer);
}

module_init(doze_init);
module_exit(doze_exit);
MODULE_DESCRIPTION("A kernel thread asleep inside a function");
MODULE_LICENSE("GPL");
