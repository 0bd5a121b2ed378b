/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/err.h>
#include <linux/init.h>
#include <linux/export.h>
#include <linux/gfp.h>
#include <linux/moduleparam.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/stat.h>
#define MODULE_INFO(tag, info) __MODULE_INFO(tag, tag, info)
#define MODULE_LICENSE(l) MODULE_INFO(license, l)
#define MODULE_AUTHOR(a) MODULE_INFO(author, a)
#define MODULE_DESCRIPTION(d) MODULE_INFO(description, d)
#define MODULE_VERSION(v) MODULE_INFO(version, v)
#define MODULE_ALIAS(a) MODULE_INFO(alias, a)
#define MODULE_SOFTDEP(d) MODULE_INFO(softdep, d)
/* The declaration keeps gcc from making either local: the loader calls them. */
#define module_init(fn) \
	static inline int (*__maybe_unused __inittest(void))(void) { return fn; } \
	int init_module(void); \
	int init_module(void) __attribute__((alias(#fn), copy(fn)))
#define module_exit(fn) \
	static inline void (*__maybe_unused __exittest(void))(void) { return fn; } \
	void cleanup_module(void); \
	void cleanup_module(void) __attribute__((alias(#fn), copy(fn)))
/* Which namespaces are needed is seen from the symbols that are used. */
#define MODULE_IMPORT_NS(ns) extern struct module __this_module
