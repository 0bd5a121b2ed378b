/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/sched.h>
#define utsname() (&current->nsproxy->uts_ns->name)
