/* SPDX-License-Identifier: GPL-2.0 */
#pragma once
#include <linux/init.h>
#include <linux/stringify.h>
#define __MODULE_INFO(tag, name, info) \
	static const char __UNIQUE_ID(name)[] __used __section(".modinfo") __aligned(1) = \
		__stringify(tag) "=" info
#define __MODULE_PARM_TYPE(name, type) __MODULE_INFO(parmtype, name##type, #name ":" type)
#define MODULE_PARM_DESC(parm, desc) __MODULE_INFO(parm, parm, #parm ":" desc)

#define __module_param_entry(pname, pops, pperm, arg_init...) \
	static const char __param_str_##pname[] = #pname; \
	static struct kernel_param const __param_##pname \
		__used __section("__param") __aligned(sizeof(void *)) = { \
		.name = __param_str_##pname, .mod = THIS_MODULE, .ops = pops, \
		.perm = pperm, .level = -1, arg_init }
#define module_param_cb(pname, pops, parg, pperm) \
	__module_param_entry(pname, pops, pperm, .arg = parg)
#define module_param_named(pname, value, type, pperm) \
	extern const struct kernel_param_ops param_ops_##type; \
	__module_param_entry(pname, &param_ops_##type, pperm, .arg = &value); \
	__MODULE_INFO(parmtype, pname##type, #pname ":" #type)
#define module_param(pname, type, pperm) module_param_named(pname, pname, type, pperm)
#define module_param_array_named(pname, array, type, nump, pperm) \
	extern const struct kernel_param_ops param_ops_##type; \
	extern const struct kernel_param_ops param_array_ops; \
	static const struct kparam_array __param_arr_##pname = { \
		.max = ARRAY_SIZE(array), .num = nump, .ops = &param_ops_##type, \
		.elemsize = sizeof(array[0]), .elem = array }; \
	__module_param_entry(pname, &param_array_ops, pperm, .arr = &__param_arr_##pname); \
	__MODULE_INFO(parmtype, pname##type, #pname ":array of " #type)
#define module_param_array(pname, type, nump, pperm) \
	module_param_array_named(pname, pname, type, nump, pperm)
#define module_param_string(pname, string, len, pperm) \
	extern const struct kernel_param_ops param_ops_string; \
	static const struct kparam_string __param_string_##pname = { len, string }; \
	__module_param_entry(pname, &param_ops_string, pperm, .str = &__param_string_##pname); \
	__MODULE_INFO(parmtype, pname##string, #pname ":string")
