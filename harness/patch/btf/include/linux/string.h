/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
/*
 * Written in assembly, or kept out of the types of some kernels since they
 * cannot be traced (5.10). The prototypes are those of C.
 */
extern void *memcpy(void *to, const void *from, size_t len);
extern void *memmove(void *to, const void *from, size_t len);
extern void *memset(void *s, int c, size_t n);
extern int memcmp(const void *a, const void *b, size_t n);
extern size_t strlen(const char *s);
extern size_t strnlen(const char *s, size_t n);
extern int strcmp(const char *a, const char *b);
extern int strncmp(const char *a, const char *b, size_t n);
extern char *strchr(const char *s, int c);
extern char *strrchr(const char *s, int c);
extern char *strstr(const char *s, const char *what);
extern int snprintf(char *buf, size_t size, const char *fmt, ...);
extern int scnprintf(char *buf, size_t size, const char *fmt, ...);
extern int sprintf(char *buf, const char *fmt, ...);
