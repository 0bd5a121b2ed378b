/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/preempt.h>
#include <linux/irqflags.h>
/* All zero is an unlocked lock, unless locks are debugged. */
#if HAVE_FIELD_magic_OF_raw_spinlock
#error "this kernel debugs its spin locks (CONFIG_DEBUG_SPINLOCK), and how an unlocked one looks is a macro"
#endif
#define __SPIN_LOCK_UNLOCKED(name) { }
#define DEFINE_SPINLOCK(x) spinlock_t x = __SPIN_LOCK_UNLOCKED(x)
#define spin_lock_init(l) do { *(l) = (spinlock_t){ }; } while (0)
#if HAVE_EXPORT__raw_spin_unlock
#define spin_lock(l) _raw_spin_lock(&(l)->rlock)
#define spin_unlock(l) _raw_spin_unlock(&(l)->rlock)
#endif
#define spin_lock_irqsave(l, flags) do { flags = _raw_spin_lock_irqsave(&(l)->rlock); } while (0)
#define spin_unlock_irqrestore(l, flags) _raw_spin_unlock_irqrestore(&(l)->rlock, flags)
