/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
/* Written in assembly, so that the image knows no prototypes of them. */
extern void *memcpy(void *to, const void *from, size_t len);
extern void *memmove(void *to, const void *from, size_t len);
extern void *memset(void *s, int c, size_t n);
