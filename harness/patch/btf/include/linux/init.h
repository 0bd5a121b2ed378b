/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#define __init __section(".init.text") __cold
#define __exit __section(".exit.text") __cold notrace __used
#define __initdata __section(".init.data")
#define __initconst __section(".init.rodata")
#define __exitdata __section(".exit.data")
#define __ro_after_init __section(".data..ro_after_init")
#define __read_mostly __section(".data..read_mostly")
#define ____cacheline_aligned __aligned(64)
