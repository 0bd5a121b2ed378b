// SPDX-License-Identifier: Apache-2.0

package kernels

import "slices"

// Capability is something that kernels differ in and that a test, or the way
// a machine is built, depends on.
type Capability string

// The capabilities. What each means stands in the table.
const (
	Livepatch             Capability = "livepatch"
	SysfsTransition       Capability = "sysfs-transition"
	SysfsForce            Capability = "sysfs-force"
	SysfsObjectPatched    Capability = "sysfs-object-patched"
	SysfsReplace          Capability = "sysfs-replace"
	SysfsStackOrder       Capability = "sysfs-stack-order"
	AtomicReplace         Capability = "atomic-replace"
	States                Capability = "states"
	TargetReload          Capability = "target-reload"
	CondReschedSwitching  Capability = "cond-resched-switching"
	ScheduleSwitching     Capability = "schedule-switching"
	IdleWakeUp            Capability = "idle-wake-up"
	ReliableStacks        Capability = "reliable-stacks"
	KretprobeUnwinding    Capability = "kretprobe-unwinding"
	BPFUnwinding          Capability = "bpf-unwinding"
	ORC                   Capability = "orc"
	FramePointer          Capability = "frame-pointer"
	PreemptDynamic        Capability = "preempt-dynamic"
	PreemptNone           Capability = "preempt-none"
	PreemptVoluntary      Capability = "preempt-voluntary"
	PreemptFull           Capability = "preempt-full"
	PreemptLazy           Capability = "preempt-lazy"
	SlowDynamicPreemptTCG Capability = "slow-dynamic-preempt-tcg"
	NoHzFull              Capability = "nohz-full"
	FtraceRegs            Capability = "ftrace-regs"
	IBT                   Capability = "ibt"
	FunctionGraph         Capability = "function-graph"
	Kprobes               Capability = "kprobes"
	DynamicDebug          Capability = "dynamic-debug"
	BTF                   Capability = "btf"
	ModVersions           Capability = "modversions"
	SignedModulesOnly     Capability = "signed-modules-only"
	CompressedModules     Capability = "compressed-modules"
	SelftestModules       Capability = "selftest-modules"
	VirtioModules         Capability = "virtio-modules"
	PVPanic               Capability = "pvpanic"
	VMGenID               Capability = "vmgenid"
	NineP                 Capability = "9p"
	Lockdep               Capability = "lockdep"
	KASAN                 Capability = "kasan"
	Clang                 Capability = "clang"
)

// option is satisfied when any of the config options named has any of the
// values.
type option struct {
	names  []string
	values []string
}

func set(names ...string) option { return option{names, []string{"y"}} }

// here is for what may be a module as well.
func here(names ...string) option { return option{names, []string{"y", "m"}} }

// fact is one row of the table. A kernel has the capability if all that the
// row says holds; of several rows of one capability, if any does.
type fact struct {
	name   Capability
	means  string   // what one can rely on
	since  string   // first series that has it, "" for all
	until  string   // last series that has it, "" for no end
	config []option // all of them are so
	source string   // where this is known from
}

const (
	abiDoc   = "kernel: Documentation/ABI/testing/sysfs-kernel-livepatch, KernelVersion"
	measured = "measured by us: "
)

var live = []option{set("CONFIG_LIVEPATCH")}

// facts is all that we know of kernels' differences, one row each. probes
// says how a guest shows each of them.
var facts = []fact{
	{name: Livepatch, means: "live patches can be loaded", since: "4.0", config: live,
		source: "kernel: kernel/livepatch/Kconfig"},
	{name: SysfsTransition, means: "/sys/kernel/livepatch/PATCH/transition", since: "4.12", config: live,
		source: abiDoc + " 4.12.0"},
	{name: SysfsForce, means: "/sys/kernel/livepatch/PATCH/force", since: "4.15", config: live,
		source: abiDoc + " 4.15.0"},
	{name: SysfsObjectPatched, means: "/sys/kernel/livepatch/PATCH/OBJECT/patched", since: "6.1", config: live,
		source: abiDoc + " 6.1.0"},
	{name: SysfsReplace, means: "/sys/kernel/livepatch/PATCH/replace", since: "6.11", config: live,
		source: abiDoc + " 6.11.0"},
	{name: SysfsStackOrder, means: "/sys/kernel/livepatch/PATCH/stack_order", since: "6.14", config: live,
		source: abiDoc + " 6.14.0"},
	{name: AtomicReplace, means: "klp_patch.replace", since: "5.1", config: live,
		source: "kernel: commit e1452b607c48 (livepatch: Add atomic replace)"},
	{name: States, means: "klp_patch.states: a patch says which changes of the system's state it makes, and a later one that does not know them is refused", since: "5.5", config: live,
		source: "kernel: Documentation/livepatch/system-state.rst, merged for 5.5"},
	{name: TargetReload, means: "a module can be unloaded and loaded again under a patch that has klp relocations for it; before, its insmod fails with \"Skipping invalid relocation target\"", since: "6.3", config: live,
		source: "kernel: commit 0c05e7bd2d01 (livepatch,x86: Clear relocation targets on a module removal); dynup/kpatch issue 1348"},
	{name: CondReschedSwitching, means: "a kthread that only ever calls cond_resched() switches there", since: "6.4", until: "6.15", config: live,
		source: "kernel: commit e3ff7c609f39 (livepatch,sched: Add livepatch task switching to cond_resched()), undone by the source of schedule-switching"},
	{name: ScheduleSwitching, means: "a task that may be frozen switches in __schedule()", since: "6.16", config: live,
		source: "kernel: commit 676e8cf70cb0 (sched,livepatch: Untangle cond_resched() and live-patching); Debian's 6.16.12-1~bpo13+1 has it, by its callers of __klp_sched_try_switch()"},
	{name: ReliableStacks, means: "the consistency model works: without, the core warns at load and only tasks that leave the kernel switch", since: "4.12",
		config: []option{set("CONFIG_HAVE_RELIABLE_STACKTRACE"), set("CONFIG_STACKTRACE")},
		source: "kernel: Documentation/livepatch/reliable-stacktrace.rst; the config decides"},
	{name: IdleWakeUp, means: "the core wakes idle CPUs whose idle task is left, so that the next round finds it switched; before, that waits for the CPU's next interrupt", since: "5.16",
		config: append([]option{set("CONFIG_SMP")}, live...),
		source: "kernel: commit 5de62ea84abd (sched,livepatch: Use wake_up_if_idle())"},
	{name: KretprobeUnwinding, means: "a stack stays reliable where a kretprobe has replaced a return address: the unwinder finds it again", since: "5.16",
		config: []option{set("CONFIG_KRETPROBES")},
		source: "kernel: commit 19138af1bd88 (x86/unwind: Recover kretprobe trampoline entry)"},
	{name: BPFUnwinding, means: "a stack stays reliable where code made for a BPF program is on it (its trampoline): the unwinder goes by that code's frame pointer", since: "6.19",
		config: []option{set("CONFIG_UNWINDER_ORC")},
		source: measured + "a task that slept below a function with an fexit program: in the way on Debian's 5.10.262 to 6.18.15, switched on 6.19.14 to 7.3.4; bpf_has_frame_pointer() came with it"},
	{name: ORC, means: "stacks are unwound by ORC tables, without frame pointers", since: "4.14",
		config: []option{set("CONFIG_UNWINDER_ORC")}, source: "kernel: Documentation/arch/x86/orc-unwinder.rst; the config decides"},
	{name: FramePointer, means: "stacks are unwound by frame pointers, which functions keep",
		config: []option{set("CONFIG_UNWINDER_FRAME_POINTER", "CONFIG_FRAME_POINTER_UNWINDER")}, source: "kernel: arch/x86/Kconfig.debug, UNWINDER_FRAME_POINTER (FRAME_POINTER_UNWINDER in 4.14); the config decides"},
	{name: PreemptDynamic, means: "the preemption model can be chosen when booting and changed later: preempt=, debugfs sched/preempt", since: "5.12",
		config: []option{set("CONFIG_PREEMPT_DYNAMIC")}, source: "kernel: kernel/Kconfig.preempt, PREEMPT_DYNAMIC; the config decides"},
	{name: PreemptNone, means: "unless told otherwise, the kernel is preempted only where it says so",
		config: []option{set("CONFIG_PREEMPT_NONE")}, source: "kernel: kernel/Kconfig.preempt, PREEMPT_NONE; the config decides"},
	{name: PreemptVoluntary, means: "unless told otherwise, the kernel is preempted at might_sleep() too",
		config: []option{set("CONFIG_PREEMPT_VOLUNTARY")}, source: "kernel: kernel/Kconfig.preempt, PREEMPT_VOLUNTARY; the config decides"},
	{name: PreemptFull, means: "unless told otherwise, the kernel is preempted anywhere",
		config: []option{set("CONFIG_PREEMPT")}, source: "kernel: kernel/Kconfig.preempt, PREEMPT; the config decides"},
	{name: PreemptLazy, means: "unless told otherwise, the kernel is preempted anywhere, for fair tasks at the tick only", since: "6.13",
		config: []option{set("CONFIG_PREEMPT_LAZY")}, source: "kernel: kernel/Kconfig.preempt, PREEMPT_LAZY; the config decides"},
	{name: SlowDynamicPreemptTCG, means: "with 2 vCPUs under TCG a transition takes 2 to 100 s, since PREEMPT_DYNAMIC pokes 509 cond_resched sites anew: start it with 1",
		since: "6.4", until: "6.15",
		config: []option{set("CONFIG_LIVEPATCH"), set("CONFIG_PREEMPT_DYNAMIC"), set("CONFIG_HAVE_PREEMPT_DYNAMIC_CALL")},
		source: measured + "Debian's 6.12 cloud-amd64, QEMU 7.2 and 10; the range is that of cond-resched-switching, whose sched_dynamic_klp_enable() does the poking"},
	{name: NoHzFull, means: "nohz_full= leaves CPUs without a tick while one task runs there",
		config: []option{set("CONFIG_NO_HZ_FULL")}, source: "kernel: Documentation/timers/no_hz.rst; the config decides"},
	{name: FtraceRegs, means: "ftrace callbacks get a struct ftrace_regs, before that pt_regs", since: "5.11",
		source: "kernel: commit d19ad0775dcd (ftrace: Have the callbacks receive a struct ftrace_regs instead of pt_regs)"},
	{name: IBT, means: "functions begin with endbr64, the fentry site comes behind it", since: "5.18",
		config: []option{set("CONFIG_X86_KERNEL_IBT")}, source: "kernel: commit 156ff4a544ae (x86/ibt: Base IBT bits); the config decides"},
	{name: FunctionGraph, means: "the function_graph tracer, which sees returns",
		config: []option{set("CONFIG_FUNCTION_GRAPH_TRACER")}, source: "kernel: Documentation/trace/ftrace.rst; the config decides"},
	{name: Kprobes, means: "kprobes and kretprobes",
		config: []option{set("CONFIG_KPROBES")}, source: "kernel: Documentation/trace/kprobes.rst; the config decides"},
	{name: DynamicDebug, means: "the livepatch core can be told to say what holds a task up",
		config: []option{set("CONFIG_DYNAMIC_DEBUG")}, source: "kernel: Documentation/admin-guide/dynamic-debug-howto.rst; the config decides"},
	{name: BTF, means: "the image describes its types in a .BTF section", since: "5.2",
		config: []option{set("CONFIG_DEBUG_INFO_BTF")}, source: "kernel: Documentation/bpf/btf.rst; the config decides"},
	{name: ModVersions, means: "a module's symbols carry checksums that must be the kernel's",
		config: []option{set("CONFIG_MODVERSIONS")}, source: "kernel: Documentation/kbuild/modules.rst; the config decides"},
	{name: SignedModulesOnly, means: "modules without a signature by a key that the kernel trusts are refused",
		config: []option{set("CONFIG_MODULE_SIG_FORCE")}, source: "kernel: Documentation/admin-guide/module-signing.rst; the config decides"},
	{name: CompressedModules, means: "the kernel's own module files are compressed",
		config: []option{set("CONFIG_MODULE_COMPRESS_XZ", "CONFIG_MODULE_COMPRESS_ZSTD", "CONFIG_MODULE_COMPRESS_GZIP")},
		source: measured + "Debian's 6.12.117-1 has .ko.xz, 6.1.192-2 has .ko"},
	{name: SelftestModules, means: "the kernel's own livepatch test modules come with it",
		config: []option{here("CONFIG_TEST_LIVEPATCH")}, source: "kernel: lib/Kconfig.debug, TEST_LIVEPATCH; the config decides, and the option is gone where the modules are in tools/testing/selftests/livepatch"},
	{name: VirtioModules, means: "virtio must be loaded before the channel can be opened",
		config: []option{{[]string{"CONFIG_VIRTIO_CONSOLE"}, []string{"m"}}}, source: measured + "configs of Debian's 6.1.192-2 (modules) and 6.12.117-1 (built in), cloud-amd64"},
	{name: PVPanic, means: "QEMU's ISA pvpanic device is told of panics, once its driver is loaded", since: "5.13",
		config: []option{here("CONFIG_PVPANIC_MMIO")}, source: measured + "a guest's driver of it, Debian's 6.1.192-2 and 6.12.117-1, cloud-amd64"},
	{name: PVPanic, means: "QEMU's ISA pvpanic device is told of panics, once its driver is loaded", until: "5.12",
		config: []option{here("CONFIG_PVPANIC")}, source: measured + "a guest's driver of it, Debian's 5.10.262-1; from 5.13 the option is only the menu"},
	{name: VMGenID, means: "a new generation id reseeds the random numbers", since: "5.18",
		config: []option{here("CONFIG_VMGENID")}, source: "kernel: commit af6b54e2b5ba (virt: vmgenid: notify RNG of VM fork); the config decides"},
	{name: NineP, means: "host folders can be mounted in the guest",
		config: []option{here("CONFIG_NET_9P")}, source: measured + "Debian's cloud-amd64 flavour lacks it in 6.1.192-2 and 6.12.117-1"},
	{name: Lockdep, means: "the kernel checks the order of locks, and is slow",
		config: []option{set("CONFIG_LOCKDEP")}, source: "kernel: Documentation/locking/lockdep-design.rst; the config decides"},
	{name: KASAN, means: "the kernel checks its memory accesses, and is slow",
		config: []option{set("CONFIG_KASAN")}, source: "kernel: Documentation/dev-tools/kasan.rst; the config decides"},
	{name: Clang, means: "the kernel, and so modules for it, are compiled by clang",
		config: []option{set("CONFIG_CC_IS_CLANG")}, source: "kernel: Documentation/kbuild/llvm.rst; the config decides"},
}

// Capabilities are the names of all capabilities, in the table's order.
func Capabilities() []Capability {
	var all []Capability
	for _, f := range facts {
		if !slices.Contains(all, f.name) {
			all = append(all, f.name)
		}
	}
	return all
}

// Means says in words what having the capability means, and where that is
// known from.
func (c Capability) Means() (means, source string) {
	for _, f := range facts {
		if f.name == c {
			return f.means, f.source
		}
	}
	return "", ""
}

// Can says whether the kernel has a capability, going by its version and
// config. A kit without a config has none that depends on an option.
func (k *Kit) Can(c Capability) bool {
	for _, f := range facts {
		if f.name == c && f.holds(k, k.ConfigValue) {
			return true
		}
	}
	return false
}

// Capabilities are the names of what the kernel has, in the table's order: as
// Can says, reading the config once for all of them.
func (k *Kit) Capabilities() []Capability {
	config := k.configValues(options())
	var all []Capability
	for _, f := range facts {
		if !slices.Contains(all, f.name) && f.holds(k, func(name string) string { return config[name] }) {
			all = append(all, f.name)
		}
	}
	return all
}

// options are the config options that the table asks for.
func options() map[string]bool {
	names := map[string]bool{}
	for _, f := range facts {
		for _, o := range f.config {
			for _, n := range o.names {
				names[n] = true
			}
		}
	}
	return names
}

// Knows says whether the table can tell if the kernel has a capability: of a
// kit without a config it cannot, where the config decides, and of one whose
// config was deduced only where the image shows all that decides.
func (k *Kit) Knows(c Capability) bool {
	if k.ConfigFile != "" && !k.ConfigDeduced {
		return true
	}
	return !slices.ContainsFunc(facts, func(f fact) bool {
		return f.name == c && slices.ContainsFunc(f.config, func(o option) bool {
			return k.ConfigFile == "" || !slices.ContainsFunc(o.names, shows)
		})
	})
}

func (f fact) holds(k *Kit, value func(option string) string) bool {
	if f.since != "" && !k.AtLeast(f.since) {
		return false
	}
	if f.until != "" && k.AtLeast(f.until) && Series(k.Version) != f.until {
		return false
	}
	return !slices.ContainsFunc(f.config, func(o option) bool { return !o.holds(value) })
}

func (o option) holds(value func(name string) string) bool {
	return slices.ContainsFunc(o.names, func(name string) bool { return slices.Contains(o.values, value(name)) })
}

// AtLeast says whether the kernel is of the series since ("6.12") or a later
// one.
func (k *Kit) AtLeast(since string) bool { return atLeast(k.Version, since) }
