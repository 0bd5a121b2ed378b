/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/gfp.h>
#if HAVE_EXPORT___kmalloc_noprof
#define kmalloc(size, flags) __kmalloc_noprof(size, flags)
#elif HAVE_EXPORT___kmalloc
#define kmalloc(size, flags) __kmalloc(size, flags)
#endif
#define kzalloc(size, flags) kmalloc(size, (flags) | __GFP_ZERO)
static inline void *kmalloc_array_of(size_t n, size_t size, gfp_t flags)
{
	size_t bytes;

	return __builtin_mul_overflow(n, size, &bytes) ? NULL : kmalloc(bytes, flags);
}
#define kmalloc_array(n, size, flags) kmalloc_array_of(n, size, flags)
#define kcalloc(n, size, flags) kmalloc_array(n, size, (flags) | __GFP_ZERO)
