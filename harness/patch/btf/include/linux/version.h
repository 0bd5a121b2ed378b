/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#define KERNEL_VERSION(a, b, c) (((a) << 16) + ((b) << 8) + ((c) > 255 ? 255 : (c)))
/* By the release of the kernel that is built for. */
#define LINUX_VERSION_CODE SWITCHYARD_VERSION_CODE
