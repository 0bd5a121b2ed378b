/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/kernel.h>
#define PATH_MAX 4096
#define NAME_MAX 255
