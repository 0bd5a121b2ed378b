/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/errno.h>
#include <linux/types.h>
/* arch/x86/lib/getuser.S, putuser.S: address and value in fixed registers. */
#define get_user(x, ptr) ({ \
	int ___err; \
	register unsigned long ___val asm("rdx"); \
	asm volatile("call __get_user_%c[size]" \
		     : "=a"(___err), "=r"(___val), ASM_CALL_CONSTRAINT \
		     : "0"(ptr), [size] "i"(sizeof(*(ptr)))); \
	(x) = (typeof(*(ptr)))___val; \
	___err; })
#define put_user(x, ptr) ({ \
	int ___err; \
	register unsigned long ___val asm("rax") = (unsigned long)(typeof(*(ptr)))(x); \
	asm volatile("call __put_user_%c[size]" \
		     : "=c"(___err), ASM_CALL_CONSTRAINT \
		     : "0"(ptr), "r"(___val), [size] "i"(sizeof(*(ptr))) \
		     : "ebx"); \
	___err; })
#define __get_user(x, ptr) get_user(x, ptr)
#define __put_user(x, ptr) put_user(x, ptr)
#if HAVE_EXPORT__copy_to_user
#define copy_to_user(to, from, n) _copy_to_user(to, from, n)
#endif
#if HAVE_EXPORT__copy_from_user
#define copy_from_user(to, from, n) _copy_from_user(to, from, n)
#endif
