/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
/* The numbers that user space sees. */
#include "/usr/include/asm-generic/mman-common.h"
#define MAP_SHARED 0x01
#define MAP_PRIVATE 0x02
