/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/linkage.h>
extern struct module __this_module;
#define THIS_MODULE (&__this_module)
/*
 * On this route no module is linked against another's symbols, so a table of
 * exports would have no reader. The symbol itself stays global.
 */
#define EXPORT_SYMBOL(sym) extern typeof(sym) sym
#define EXPORT_SYMBOL_GPL(sym) extern typeof(sym) sym
