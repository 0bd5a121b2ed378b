// SPDX-License-Identifier: GPL-2.0
/* What kernel-shadow.patch needs beside the functions that it changes. */
#include <linux/livepatch.h>
#include <linux/sched/task.h>
#include <linux/slab.h>

#define APPLIED 0x5779

static int count(void *obj, void *shadow, void *data)
{
	*(int *)shadow = *(int *)data;
	return 0;
}

int klp_pre_patch_vmlinux(struct klp_object *obj)
{
	int times = 1;

	return klp_shadow_alloc(&init_task, APPLIED, sizeof(times), GFP_KERNEL, count, &times) ? 0 : -ENOMEM;
}

void klp_post_unpatch_vmlinux(struct klp_object *obj)
{
	klp_shadow_free_all(APPLIED, NULL);
}
