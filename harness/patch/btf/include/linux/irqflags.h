/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/types.h>
/* For bare hardware and what virtualises it; a Xen PV guest has hooks here. */
#define local_irq_disable() asm volatile("cli" : : : "memory")
#define local_irq_enable() asm volatile("sti" : : : "memory")
#define local_save_flags(flags) \
	asm volatile("pushfq; popq %0" : "=rm"(flags) : : "memory")
#define local_irq_save(flags) do { local_save_flags(flags); local_irq_disable(); } while (0)
#define irqs_disabled_flags(flags) (!((flags) & 0x200))
#define local_irq_restore(flags) do { if (!irqs_disabled_flags(flags)) local_irq_enable(); } while (0)
#define irqs_disabled() ({ unsigned long ___f; local_save_flags(___f); irqs_disabled_flags(___f); })
