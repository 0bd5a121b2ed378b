/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/types.h>
extern struct cpumask __cpu_online_mask;
extern unsigned int nr_cpu_ids;
#define cpu_online_mask ((const struct cpumask *)&__cpu_online_mask)
#if HAVE_EXPORT__find_last_bit
#define cpumask_last(mask) ((unsigned int)_find_last_bit((mask)->bits, nr_cpu_ids))
#define cpumask_first(mask) ((unsigned int)_find_first_bit((mask)->bits, nr_cpu_ids))
#elif HAVE_EXPORT_find_last_bit
#define cpumask_last(mask) ((unsigned int)find_last_bit((mask)->bits, nr_cpu_ids))
#define cpumask_first(mask) ((unsigned int)find_first_bit((mask)->bits, nr_cpu_ids))
#endif
