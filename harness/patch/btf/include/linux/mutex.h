/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/list.h>
#if HAVE_FIELD_magic_OF_mutex
#error "this kernel debugs its mutexes (CONFIG_DEBUG_MUTEXES), and how an unlocked one looks is a macro"
#endif
#if HAVE_FIELD_wait_list_OF_mutex
#define DEFINE_MUTEX(name) struct mutex name = { .wait_list = LIST_HEAD_INIT(name.wait_list) }
#else
#define DEFINE_MUTEX(name) struct mutex name = { }
#endif
