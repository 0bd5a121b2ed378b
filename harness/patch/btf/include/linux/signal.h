/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
/* The numbers that user space sees; the same on every kernel. */
#define SIGHUP 1
#define SIGINT 2
#define SIGKILL 9
#define SIGUSR1 10
#define SIGUSR2 12
#define SIGTERM 15
static inline bool sigismember(sigset_t *set, int sig) { return (set->sig[0] >> (sig - 1)) & 1; }
