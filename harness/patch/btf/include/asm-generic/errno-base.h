/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include "/usr/include/asm-generic/errno-base.h"
