// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bytes"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// probe is how a kernel shows that it has a capability: look at the evidence,
// or cannot, the reason why nothing would show it.
type probe struct {
	look   func(*Evidence) (has bool, what string, err error)
	cannot string
}

// probes has one entry for each row of the table of facts. None of them reads
// the version or the config, from which the table makes its claims.
var probes = map[Capability]probe{
	Livepatch:          {look: func(e *Evidence) (bool, string, error) { return len(e.PatchFiles) > 0, patchFolder(e), nil }},
	SysfsTransition:    {look: patchFile("transition")},
	SysfsForce:         {look: patchFile("force")},
	SysfsReplace:       {look: patchFile("replace")},
	SysfsStackOrder:    {look: patchFile("stack_order")},
	SysfsObjectPatched: {look: patchFile("vmlinux/patched")},
	AtomicReplace:      {look: memberOf("klp_patch", "replace")},
	States:             {look: memberOf("klp_patch", "states")},
	TargetReload:       {look: symbolOf("clear_relocate_add")},

	CondReschedSwitching:  {look: switchesElsewhere},
	ScheduleSwitching:     {look: switchesInSchedule},
	SlowDynamicPreemptTCG: {look: symbolOf("sched_dynamic_klp_enable")}, // what does the poking; how long it takes is no thing to assert
	IdleWakeUp:            {look: wakesIdle},
	ReliableStacks:        {look: warnsOfStacks},
	KretprobeUnwinding:    {look: memberOf("unwind_state", "kr_cur")},
	BPFUnwinding:          {look: symbolOf("bpf_has_frame_pointer")},
	ORC:                   {look: sectionOf(".orc_unwind")},
	FramePointer:          {look: keepsFrames},
	PreemptDynamic:        {look: symbolOf("sched_dynamic_update")},
	PreemptNone:           {look: preempts("none")},
	PreemptVoluntary:      {look: preempts("voluntary")},
	PreemptFull:           {look: preempts("full")},
	PreemptLazy:           {look: preempts("lazy")},
	NoHzFull:              {look: fileOf("/sys/devices/system/cpu/nohz_full")},

	FtraceRegs:    {look: ftraceSignature},
	IBT:           {look: beginsWithEndbr},
	FunctionGraph: {look: tracer("function_graph")},
	Kprobes:       {look: fileOf("/sys/kernel/debug/kprobes/list")},
	DynamicDebug:  {look: fileOf("/sys/kernel/debug/dynamic_debug/control")},
	BTF:           {look: sectionOf(".BTF")},

	ModVersions:       {look: sectionOf("__kcrctab")},
	SignedModulesOnly: {look: enforcesSignatures},
	CompressedModules: {look: compressed},
	SelftestModules:   {look: moduleOf("test_klp_livepatch")},
	VirtioModules:     {look: loaded("virtio_console")},
	PVPanic:           {look: drivesPVPanic},
	VMGenID:           {look: symbolOrModule("vmgenid_", "vmgenid")},
	NineP:             {look: symbolOrModule("p9_client_", "9pnet")},
	Lockdep:           {look: fileOf("/proc/lockdep")},
	KASAN:             {look: symbolOf("kasan_report")},
	Clang:             {look: says("/proc/version", "clang version")},
}

type look = func(*Evidence) (bool, string, error)

func patchFolder(e *Evidence) string {
	return "the applied patch's folder in sysfs has " + list(e.PatchFiles)
}

func patchFile(path string) look {
	return func(e *Evidence) (bool, string, error) {
		if len(e.PatchFiles) == 0 {
			return false, "", &Hidden{"no patch was applied, so it has no folder in sysfs"}
		}
		return slices.Contains(e.PatchFiles, path), patchFolder(e), nil
	}
}

func fileOf(path string) look { return func(e *Evidence) (bool, string, error) { return e.has(path) } }

// enforcesSignatures reads a switch that kernels without module signatures do
// not have.
func enforcesSignatures(e *Evidence) (bool, string, error) {
	const path = "/sys/module/module/parameters/sig_enforce"
	if has, what, err := e.has(path); !has {
		return false, what, err
	}
	return says(path, "Y")(e)
}

// says wants text in a file that every kernel has.
func says(path, text string) look {
	return func(e *Evidence) (bool, string, error) {
		content, err := e.Read(path)
		if err != nil {
			return false, "", err
		}
		return strings.Contains(content, text), fmt.Sprintf("%s says %q", path, strings.TrimSpace(content)), nil
	}
}

func symbolOf(name string) look {
	return func(e *Evidence) (bool, string, error) {
		if e.Symbols.Has(name) {
			return true, name + " is in kallsyms", nil
		}
		return false, name + " is not in kallsyms", nil
	}
}

func sectionOf(name string) look {
	return func(e *Evidence) (bool, string, error) {
		if e.Image.Has(name) {
			return true, "the image has a section " + name, nil
		}
		return false, "the image has no section " + name, nil
	}
}

func memberOf(name, member string) look {
	return func(e *Evidence) (bool, string, error) {
		has, err := e.Image.member(name, member)
		return has, fmt.Sprintf("by the image's BTF, struct %s has a member %s: %t", name, member, has), err
	}
}

func moduleOf(name string) look {
	return func(e *Evidence) (bool, string, error) { return e.module(name) }
}

func loaded(name string) look {
	return func(e *Evidence) (bool, string, error) {
		return slices.Contains(e.Loaded, name), "modules loaded in the guest: " + list(e.Loaded), nil
	}
}

// symbolOrModule is for what may be built in, with symbols that begin with
// prefix, or be a module.
func symbolOrModule(prefix, module string) look {
	return func(e *Evidence) (bool, string, error) {
		if name := e.Symbols.first(prefix); name != "" {
			return true, name + " is in kallsyms", nil
		}
		return e.module(module)
	}
}

func tracer(name string) look {
	return func(e *Evidence) (bool, string, error) {
		content, err := e.Read("/sys/kernel/tracing/available_tracers")
		if err != nil {
			return false, "there is no tracing: " + err.Error(), nil
		}
		return slices.Contains(strings.Fields(content), name), "available_tracers says " + strings.TrimSpace(content), nil
	}
}

// trySwitch is what switches the current task, whatever calls it.
const trySwitch = "__klp_sched_try_switch"

func switchesInSchedule(e *Evidence) (bool, string, error) {
	from := e.callers(trySwitch)
	return slices.Contains(from, "__schedule"), trySwitch + " is called by " + list(from), nil
}

func switchesElsewhere(e *Evidence) (bool, string, error) {
	from := e.callers(trySwitch)
	elsewhere := slices.ContainsFunc(from, func(f string) bool { return f != "__schedule" && f != trySwitch })
	return elsewhere, trySwitch + " is called by " + list(from), nil
}

// wakesIdle looks whether the core's round wakes CPUs.
func wakesIdle(e *Evidence) (bool, string, error) {
	const wakes, round = "wake_up_if_idle", "klp_try_complete_transition"
	from := e.callers(wakes)
	return slices.Contains(from, round), wakes + " is called by " + list(from), nil
}

// warnsOfStacks looks for what klp_enable_patch() says where stacks cannot be
// relied on.
func warnsOfStacks(e *Evidence) (bool, string, error) {
	if len(e.PatchFiles) == 0 {
		return false, "", &Hidden{"no patch was applied, at which the core would warn"}
	}
	for _, line := range e.Log {
		if strings.Contains(line, "support for the livepatch consistency model") {
			return false, "the core warned: " + line, nil
		}
	}
	return true, "the core did not warn when the patch was loaded", nil
}

// ftraceSignature looks at the last parameter of an ftrace callback.
func ftraceSignature(e *Evidence) (bool, string, error) {
	p, err := e.Image.parameter("ftrace_func_t", 3)
	return p == "struct ftrace_regs", "by the image's BTF, the last parameter of ftrace_func_t points to a " + p, err
}

// indirect are functions whose address is taken, in every kernel.
var indirect = []string{"cmdline_proc_show", "version_proc_show", "uptime_proc_show", "loadavg_proc_show"}

var (
	endbr = []byte{0xf3, 0x0f, 0x1e, 0xfa}
	// fentryNop stands for the call of __fentry__ where objtool replaced it.
	fentryNop = []byte{0x0f, 0x1f, 0x44, 0x00, 0x00}
	pushFrame = []byte{0x55, 0x48, 0x89, 0xe5} // push %rbp; mov %rsp,%rbp
)

// beginsWithEndbr looks at functions' first bytes, and at the fentry site
// behind them.
func beginsWithEndbr(e *Evidence) (bool, string, error) {
	with, without := []string{}, []string{}
	for _, name := range indirect {
		for _, a := range e.Symbols.addrs(name) {
			rest, marked := bytes.CutPrefix(e.Image.code(e.linked(a), 16), endbr)
			if !isFentry(rest) {
				continue
			}
			if marked {
				with = append(with, name)
			} else {
				without = append(without, name)
			}
		}
	}
	if len(with)+len(without) == 0 {
		return false, "", &Hidden{"none of " + list(indirect) + " is in the image"}
	}
	return len(with) > len(without), fmt.Sprintf("endbr64 before the fentry site: %s; none: %s", list(with), list(without)), nil
}

func isFentry(code []byte) bool {
	return len(code) > 5 && (code[0] == 0xe8 || bytes.HasPrefix(code, fentryNop))
}

// keepsFrames counts functions that set up a frame right behind their fentry
// site. Without frame pointers some do all the same, to align their stack.
func keepsFrames(e *Evidence) (bool, string, error) {
	functions, frames := 0, 0
	for _, s := range e.Symbols.byAddr {
		if !s.text {
			continue
		}
		code := bytes.TrimPrefix(e.Image.code(e.linked(s.addr), 16), endbr)
		if !isFentry(code) {
			continue
		}
		functions++
		if bytes.HasPrefix(code[5:], pushFrame) {
			frames++
		}
	}
	if functions == 0 {
		return false, "", &Hidden{"no function with a fentry site was found in the image"}
	}
	return frames > functions/2, fmt.Sprintf("%d of %d functions set up a frame first", frames, functions), nil
}

var chosenModel = regexp.MustCompile(`\((\w+)\)`)

// preempts says whether the kernel came up with the preemption model called
// model.
func preempts(model string) look {
	return func(e *Evidence) (bool, string, error) {
		for _, path := range []string{"/sys/kernel/debug/sched/preempt", "/sys/kernel/debug/sched_preempt"} {
			if content, err := e.Read(path); err == nil {
				m := chosenModel.FindStringSubmatch(content)
				if m == nil {
					return false, "", fmt.Errorf("%s says %q and names no model", path, content)
				}
				return m[1] == model, fmt.Sprintf("%s says %q", path, strings.TrimSpace(content)), nil
			}
		}
		return preemptsByBuild(e, model)
	}
}

// preemptsByBuild is for kernels whose model is fixed. Those that are not
// preempted anywhere do not have PREEMPT in their version; might_sleep() in
// mutex_lock() tells voluntary from none.
func preemptsByBuild(e *Evidence, model string) (bool, string, error) {
	version, err := e.Read("/proc/version")
	if err != nil {
		return false, "", err
	}
	if strings.Contains(version, "PREEMPT") {
		if model == "full" || model == "lazy" {
			return false, "", &Hidden{"a kernel built for one model does not show whether that is full or lazy"}
		}
		return false, "its version has PREEMPT: " + strings.TrimSpace(version), nil
	}
	if model == "full" || model == "lazy" {
		return false, "its version has no PREEMPT: " + strings.TrimSpace(version), nil
	}
	voluntary := slices.Contains(e.callers("__cond_resched", "_cond_resched"), "mutex_lock")
	return voluntary == (model == "voluntary"), fmt.Sprintf("its version has no PREEMPT; mutex_lock() calls cond_resched(): %t", voluntary), nil
}

// compressed looks at the kit's module files.
func compressed(e *Evidence) (bool, string, error) {
	if e.Kit.ModulesDir == "" {
		return false, "", &Hidden{"this kernel came without modules"}
	}
	plain, packed := 0, 0
	err := filepath.WalkDir(e.Kit.ModulesDir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case strings.HasSuffix(path, ".ko"):
			plain++
		case slices.ContainsFunc(moduleSuffixes, func(s string) bool { return strings.HasSuffix(path, s) }):
			packed++
		}
		return nil
	})
	if err == nil && plain+packed == 0 {
		err = &Hidden{"this kernel came without modules"}
	}
	return packed > plain, fmt.Sprintf("%d module files are compressed, %d are not", packed, plain), err
}

// drivesPVPanic looks for the device that is bound to a driver of pvpanic's.
// QEMU's ISA device shows as ACPI's QEMU0001.
func drivesPVPanic(e *Evidence) (bool, string, error) {
	for _, bus := range []string{"acpi", "platform"} {
		drivers, err := e.List("/sys/bus/" + bus + "/drivers")
		if err != nil {
			continue
		}
		for _, d := range drivers {
			if !strings.HasPrefix(d, "pvpanic") {
				continue
			}
			bound, err := e.List("/sys/bus/" + bus + "/drivers/" + d)
			if err == nil && slices.ContainsFunc(bound, func(n string) bool { return strings.HasPrefix(n, "QEMU0001") }) {
				return true, fmt.Sprintf("the driver %s of bus %s has QEMU0001", d, bus), nil
			}
		}
	}
	return false, "no driver has the device QEMU0001", nil
}
