/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/module.h>
#include <linux/sched.h>
/* struct klp_patch and the like, and klp_enable_patch(), are in the image. */
