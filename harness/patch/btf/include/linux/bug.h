/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/printk.h>
/*
 * ud2 and an entry of the BUG table, whose members are in the order that the
 * image's struct bug_entry gives (SWITCHYARD_BUG_ENTRY).
 */
#define BUGFLAG_WARNING (1 << 0)
#define BUGFLAG_ONCE (1 << 1)
#define BUGFLAG_NO_CUT_HERE (1 << 3)
#define BUGFLAG_TAINT(taint) ((taint) << 8)
#define TAINT_WARN 9
#define __BUG_FLAGS(fl) \
	asm volatile("1:\tud2\n" \
		     ".pushsection __bug_table,\"aw\"\n" \
		     "2:\n" SWITCHYARD_BUG_ENTRY \
		     "\t.org 2b+%c[size]\n" \
		     ".popsection\n" \
		     : : [fmt] "i"(""), [file] "i"(__FILE__), [line] "i"(__LINE__), \
			 [flags] "i"(fl), [size] "i"(sizeof(struct bug_entry)))
#define BUG() do { __BUG_FLAGS(0); __builtin_unreachable(); } while (0)
#define BUG_ON(cond) do { if (unlikely(cond)) BUG(); } while (0)
#define __WARN_printf(taint, fmt...) do { \
	__warn_printk(fmt); \
	__BUG_FLAGS(BUGFLAG_WARNING | BUGFLAG_NO_CUT_HERE | BUGFLAG_TAINT(taint)); \
	} while (0)
#define WARN_ON(cond) ({ \
	int ___ret = !!(cond); \
	if (unlikely(___ret)) \
		__BUG_FLAGS(BUGFLAG_WARNING | BUGFLAG_TAINT(TAINT_WARN)); \
	unlikely(___ret); })
#define WARN_ON_ONCE(cond) ({ \
	int ___ret = !!(cond); \
	if (unlikely(___ret)) \
		__BUG_FLAGS(BUGFLAG_WARNING | BUGFLAG_ONCE | BUGFLAG_TAINT(TAINT_WARN)); \
	unlikely(___ret); })
#define WARN_TAINT(cond, taint, fmt...) ({ \
	int ___ret = !!(cond); \
	if (unlikely(___ret)) \
		__WARN_printf(taint, fmt); \
	unlikely(___ret); })
#define WARN(cond, fmt...) WARN_TAINT(cond, TAINT_WARN, fmt)
#define WARN_ONCE(cond, fmt...) ({ \
	static bool ___told; \
	int ___once = !!(cond); \
	if (unlikely(___once && !___told)) { ___told = true; WARN(1, fmt); } \
	unlikely(___once); })
