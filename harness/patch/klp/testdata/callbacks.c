// SPDX-License-Identifier: GPL-2.0
/* Callbacks that count themselves, by object, and keep a shadow variable. */
#include <linux/livepatch.h>
#include <linux/module.h>
#include <linux/slab.h>

static int twin[4], image[4], shadows;
static int n = 4;
module_param_array(twin, int, &n, 0444);
module_param_array(image, int, &n, 0444);
module_param(shadows, int, 0444);

static int *counts(struct klp_object *obj)
{
	return obj->name ? twin : image;
}

int klp_pre_patch(struct klp_object *obj)
{
	image[0]++;
	if (klp_shadow_alloc(&twin, 1, sizeof(long), GFP_KERNEL, NULL, NULL))
		shadows++;
	return 0;
}

int klp_pre_patch_switchyard_twin(struct klp_object *obj)
{
	twin[0]++;
	return 0;
}

void klp_post_patch(struct klp_object *obj)
{
	counts(obj)[1]++;
}

void klp_pre_unpatch(struct klp_object *obj)
{
	counts(obj)[2]++;
}

void klp_post_unpatch(struct klp_object *obj)
{
	counts(obj)[3]++;
	if (!obj->name) {
		klp_shadow_free_all(1, NULL);
		shadows--;
	}
}
