/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
/*
 * What every source gets before its first line: the kernel's types and the
 * words of its C dialect. Macros are not in an image, so what stands in these
 * headers is our own, kept to what does not differ between kernels; where it
 * does, a HAVE_ question is asked of the image.
 */
#define NULL ((void *)0)
#define offsetof(type, member) __builtin_offsetof(type, member)
#define typeof_member(T, m) typeof(((T *)0)->m)
#define container_of(ptr, type, member) \
	((type *)((char *)(1 ? (ptr) : &((type *)0)->member) - offsetof(type, member)))

#define __always_inline inline __attribute__((__always_inline__))
#define noinline __attribute__((__noinline__))
#define __noclone __attribute__((__noclone__))
#define __used __attribute__((__used__))
#define __unused __attribute__((__unused__))
#define __maybe_unused __attribute__((__unused__))
#define __always_unused __attribute__((__unused__))
#define __must_check __attribute__((__warn_unused_result__))
#define __packed __attribute__((__packed__))
#define __aligned(x) __attribute__((__aligned__(x)))
#define __section(s) __attribute__((__section__(s)))
#define __printf(a, b) __attribute__((__format__(printf, a, b)))
#define __cold __attribute__((__cold__))
#define __visible
#define __weak __attribute__((__weak__))
#define __noreturn __attribute__((__noreturn__))
#define notrace __attribute__((__no_instrument_function__))
#define fallthrough __attribute__((__fallthrough__))
#define asmlinkage
#define __user
#define __kernel
#define __iomem
#define __rcu
#define __percpu
#define __force
#define __must_hold(x)
#define __acquires(x)
#define __releases(x)

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define barrier() __asm__ __volatile__("" : : : "memory")
#define barrier_data(ptr) __asm__ __volatile__("" : : "r"(ptr) : "memory")
#define OPTIMIZER_HIDE_VAR(var) __asm__("" : "=r"(var) : "0"(var))
#define READ_ONCE(x) (*(const volatile typeof(x) *)&(x))
#define WRITE_ONCE(x, val) do { *(volatile typeof(x) *)&(x) = (val); } while (0)
#define smp_mb() __asm__ __volatile__("lock; addl $0,-4(%%rsp)" : : : "memory", "cc")
#define smp_rmb() barrier()
#define smp_wmb() barrier()
#define smp_store_release(p, v) do { barrier(); WRITE_ONCE(*(p), v); } while (0)
#define smp_load_acquire(p) ({ typeof(*(p)) ___v = READ_ONCE(*(p)); barrier(); ___v; })
#define smp_store_mb(var, value) __atomic_store_n(&(var), value, __ATOMIC_SEQ_CST)
#define xchg(ptr, v) __atomic_exchange_n(ptr, v, __ATOMIC_SEQ_CST)
#define cmpxchg(ptr, old, new) ({ \
	typeof(*(ptr)) ___o = (old); \
	__atomic_compare_exchange_n(ptr, &___o, new, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
	___o; })
#define cpu_relax() __asm__ __volatile__("rep; nop" : : : "memory")

#define __stringify_1(x...) #x
#define __stringify(x...) __stringify_1(x)
#define ___PASTE(a, b) a##b
#define __PASTE(a, b) ___PASTE(a, b)
#define __UNIQUE_ID(prefix) __PASTE(__PASTE(__UNIQUE_ID_, prefix), __COUNTER__)

#define ARRAY_SIZE(arr) (sizeof(arr) / sizeof((arr)[0]))
#define BIT(nr) (1UL << (nr))
#define min(x, y) ({ typeof(x) ___x = (x); typeof(y) ___y = (y); ___x < ___y ? ___x : ___y; })
#define max(x, y) ({ typeof(x) ___x = (x); typeof(y) ___y = (y); ___x > ___y ? ___x : ___y; })
#define min_t(type, x, y) min((type)(x), (type)(y))
#define max_t(type, x, y) max((type)(x), (type)(y))
#define clamp(val, lo, hi) min(max(val, lo), hi)
#define swap(a, b) do { typeof(a) ___t = (a); (a) = (b); (b) = ___t; } while (0)
#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))
#define ALIGN(x, a) (((x) + ((typeof(x))(a) - 1)) & ~((typeof(x))(a) - 1))
#define BUILD_BUG_ON(cond) _Static_assert(!(cond), "BUILD_BUG_ON: " #cond)
#define static_assert(expr, ...) _Static_assert(expr, #expr)

/* IS_ENABLED(CONFIG_X): 1 for =y and =m, which -DCONFIG_X or _MODULE say. */
#define __ARG_PLACEHOLDER_1 0,
#define __take_second_arg(ignored, val, ...) val
#define ____is_defined(arg1_or_junk) __take_second_arg(arg1_or_junk 1, 0)
#define ___is_defined(val) ____is_defined(__ARG_PLACEHOLDER_##val)
#define __is_defined(x) ___is_defined(x)
#define IS_BUILTIN(option) __is_defined(option)
#define IS_MODULE(option) __is_defined(option##_MODULE)
#define IS_ENABLED(option) (__is_defined(option) || __is_defined(option##_MODULE))
#define IS_REACHABLE(option) IS_ENABLED(option)

/* The return address of a call in an asm must not end up in the red zone. */
register unsigned long current_stack_pointer asm("rsp");
#define ASM_CALL_CONSTRAINT "+r"(current_stack_pointer)
