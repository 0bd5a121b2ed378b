// SPDX-License-Identifier: Apache-2.0
//
// The kernel's types, and variables that a debugger shall know the types of:
// where they lie, its symbols say. BTF does not tell variables' types.

#include "types.h"

extern struct task_struct init_task;
extern struct list_head modules;
extern struct list_head klp_patches;
extern struct klp_patch *klp_transition_patch;
extern int klp_target_state;
extern struct orc_entry __start_orc_unwind[];
extern int __start_orc_unwind_ip[];
extern int __stop_orc_unwind_ip[];
extern unsigned int orc_lookup[];
extern unsigned long volatile jiffies;

// What is never used is never described.
void *switchyard_described[] = {
	&init_task, &modules, &klp_patches, &klp_transition_patch, &klp_target_state,
	__start_orc_unwind, __start_orc_unwind_ip, __stop_orc_unwind_ip, orc_lookup, (void *)&jiffies,
};
