// SPDX-License-Identifier: GPL-2.0
/* Functions with frames of many kinds; never loaded. */
#include <linux/kernel.h>
#include <linux/module.h>
#include <linux/printk.h>
#include <linux/sched.h>

/* A frame pointer, since the size of the frame is not known. */
static noinline int variable_frame(int n)
{
	char text[n];

	OPTIMIZER_HIDE_VAR(n);
	snprintf(text, n, "%d", n);
	return text[0];
}

/* Arguments on the stack, and a way out in the middle. */
static noinline long many(long a, long b, long c, long d, long e, long f, long g, long h)
{
	if (a == b)
		return -1;
	schedule();
	if (c == d)
		return e + f;
	pr_info("%ld %ld %ld %ld %ld %ld %ld %ld\n", a, b, c, d, e, f, g, h);
	return g * h;
}

/* Tail calls, one of them through a pointer. */
static noinline int tail(int (*next)(int), int n)
{
	if (n > 3)
		return next(n);
	return variable_frame(n);
}

static int __init frames_init(void)
{
	return many(1, 2, 3, 4, 5, 6, 7, 8) + tail(variable_frame, 5);
}

static void __exit frames_exit(void)
{
}

module_init(frames_init);
module_exit(frames_exit);
MODULE_DESCRIPTION("Frames of many kinds");
MODULE_LICENSE("GPL");
