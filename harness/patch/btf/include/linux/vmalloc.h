/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/types.h>
#if HAVE_EXPORT_vzalloc_noprof
#define vmalloc(size) vmalloc_noprof(size)
#define vzalloc(size) vzalloc_noprof(size)
#endif
