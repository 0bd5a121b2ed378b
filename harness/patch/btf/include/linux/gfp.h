/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/types.h>
#if HAVE_ENUM____GFP_IO_BIT
#define __GFP_HIGH ((gfp_t)BIT(___GFP_HIGH_BIT))
#define __GFP_IO ((gfp_t)BIT(___GFP_IO_BIT))
#define __GFP_FS ((gfp_t)BIT(___GFP_FS_BIT))
#define __GFP_ZERO ((gfp_t)BIT(___GFP_ZERO_BIT))
#define __GFP_DIRECT_RECLAIM ((gfp_t)BIT(___GFP_DIRECT_RECLAIM_BIT))
#define __GFP_KSWAPD_RECLAIM ((gfp_t)BIT(___GFP_KSWAPD_RECLAIM_BIT))
#define __GFP_NOWARN ((gfp_t)BIT(___GFP_NOWARN_BIT))
#else
/*
 * Macros in 5.10 and 6.1, with the same values: include/linux/gfp.h,
 * include/linux/gfp_types.h.
 */
#define __GFP_HIGH ((gfp_t)0x20u)
#define __GFP_IO ((gfp_t)0x40u)
#define __GFP_FS ((gfp_t)0x80u)
#define __GFP_ZERO ((gfp_t)0x100u)
#define __GFP_DIRECT_RECLAIM ((gfp_t)0x400u)
#define __GFP_KSWAPD_RECLAIM ((gfp_t)0x800u)
#define __GFP_NOWARN ((gfp_t)0x2000u)
#endif
#define __GFP_RECLAIM (__GFP_DIRECT_RECLAIM | __GFP_KSWAPD_RECLAIM)
#define GFP_KERNEL (__GFP_RECLAIM | __GFP_IO | __GFP_FS)
#define GFP_ATOMIC (__GFP_HIGH | __GFP_KSWAPD_RECLAIM)
#define GFP_NOWAIT (__GFP_KSWAPD_RECLAIM | __GFP_NOWARN)
#define GFP_NOFS (__GFP_RECLAIM | __GFP_IO)
#define GFP_NOIO (__GFP_RECLAIM)
