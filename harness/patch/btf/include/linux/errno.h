/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
/* What user space sees is the same on every kernel. */
#include <asm-generic/errno-base.h>
#include "/usr/include/asm-generic/errno.h"
/* include/linux/errno.h: what it does not see. */
#define ERESTARTSYS 512
#define ERESTARTNOINTR 513
#define ERESTARTNOHAND 514
#define ENOIOCTLCMD 515
#define ERESTART_RESTARTBLOCK 516
#define EPROBE_DEFER 517
#define ENOTSUPP 524
