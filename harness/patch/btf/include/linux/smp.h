/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/cpumask.h>
/* smp_call_function_single and the others that the image exports. */
