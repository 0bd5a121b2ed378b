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
	CondReschedSwitching  Capability = "cond-resched-switching"
	ScheduleSwitching     Capability = "schedule-switching"
	FtraceRegs            Capability = "ftrace-regs"
	IBT                   Capability = "ibt"
	ORC                   Capability = "orc"
	BTF                   Capability = "btf"
	VirtioModules         Capability = "virtio-modules"
	PVPanic               Capability = "pvpanic"
	VMGenID               Capability = "vmgenid"
	NineP                 Capability = "9p"
	CompressedModules     Capability = "compressed-modules"
	SlowDynamicPreemptTCG Capability = "slow-dynamic-preempt-tcg"
)

// option is a config option with the values that count.
type option struct {
	name   string
	values []string
}

func set(name string) option { return option{name, []string{"y"}} }

// fact is one row of the table. A kernel has the capability if all that the
// row says holds.
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

// facts is all that we know of kernels' differences, one row each.
var facts = []fact{
	{name: Livepatch, means: "live patches can be loaded", since: "4.0",
		config: []option{set("CONFIG_LIVEPATCH")}, source: "kernel: kernel/livepatch/Kconfig"},
	{name: SysfsTransition, means: "/sys/kernel/livepatch/PATCH/transition", since: "4.12",
		config: []option{set("CONFIG_LIVEPATCH")}, source: abiDoc + " 4.12.0"},
	{name: SysfsForce, means: "/sys/kernel/livepatch/PATCH/force", since: "4.15",
		config: []option{set("CONFIG_LIVEPATCH")}, source: abiDoc + " 4.15.0"},
	{name: AtomicReplace, means: "klp_patch.replace", since: "5.1",
		config: []option{set("CONFIG_LIVEPATCH")}, source: "kernel: commit e1452b607c48 (livepatch: Add atomic replace)"},
	{name: SysfsObjectPatched, means: "/sys/kernel/livepatch/PATCH/OBJECT/patched", since: "6.1",
		config: []option{set("CONFIG_LIVEPATCH")}, source: abiDoc + " 6.1.0"},
	{name: SysfsReplace, means: "/sys/kernel/livepatch/PATCH/replace", since: "6.11",
		config: []option{set("CONFIG_LIVEPATCH")}, source: abiDoc + " 6.11.0"},
	{name: SysfsStackOrder, means: "/sys/kernel/livepatch/PATCH/stack_order", since: "6.14",
		config: []option{set("CONFIG_LIVEPATCH")}, source: abiDoc + " 6.14.0"},
	{name: CondReschedSwitching, means: "a kthread that only ever calls cond_resched() switches there", since: "6.4", until: "6.16",
		config: []option{set("CONFIG_LIVEPATCH")}, source: "kernel: commit e3ff7c609f39 (livepatch,sched: Add livepatch task switching to cond_resched()), undone by the source of schedule-switching"},
	{name: ScheduleSwitching, means: "a task switches in __schedule()", since: "6.17",
		config: []option{set("CONFIG_LIVEPATCH")}, source: "kernel: commit 676e8cf70cb0 (sched,livepatch: Untangle cond_resched() and live-patching)"},
	{name: FtraceRegs, means: "ftrace callbacks get a struct ftrace_regs, before that pt_regs", since: "5.11",
		source: "kernel: commit d19ad0775dcd (ftrace: Have the callbacks receive a struct ftrace_regs instead of pt_regs)"},
	{name: IBT, means: "functions begin with endbr64, the fentry site comes behind it", since: "5.18",
		config: []option{set("CONFIG_X86_KERNEL_IBT")}, source: "kernel: commit 156ff4a544ae (x86/ibt: Base IBT bits); the config decides"},
	{name: ORC, means: "reliable stacks without frame pointers", since: "4.14",
		config: []option{set("CONFIG_UNWINDER_ORC")}, source: "kernel: Documentation/arch/x86/orc-unwinder.rst; the config decides"},
	{name: BTF, means: "the image describes its types in a .BTF section", since: "5.2",
		config: []option{set("CONFIG_DEBUG_INFO_BTF")}, source: "kernel: Documentation/bpf/btf.rst; the config decides"},
	{name: VirtioModules, means: "virtio must be loaded before the channel can be opened",
		config: []option{{"CONFIG_VIRTIO_CONSOLE", []string{"m"}}}, source: measured + "configs of Debian's 6.1.192-2 (modules) and 6.12.117-1 (built in), cloud-amd64"},
	{name: PVPanic, means: "a pvpanic device is told of panics, once its module is loaded", since: "5.13",
		config: []option{{"CONFIG_PVPANIC_PCI", []string{"y", "m"}}}, source: measured + "configs of Debian's 6.1.192-2 and 6.12.117-1, cloud-amd64"},
	{name: VMGenID, means: "a new generation id reseeds the random numbers", since: "5.18",
		config: []option{{"CONFIG_VMGENID", []string{"y", "m"}}}, source: "kernel: commit af6b54e2b5ba (virt: vmgenid: notify RNG of VM fork); the config decides"},
	{name: NineP, means: "host folders can be mounted in the guest",
		config: []option{{"CONFIG_NET_9P", []string{"y", "m"}}}, source: measured + "Debian's cloud-amd64 flavour lacks it in 6.1.192-2 and 6.12.117-1"},
	{name: CompressedModules, means: "the kernel's own module files are compressed",
		config: []option{set("CONFIG_MODULE_COMPRESS_XZ")}, source: measured + "Debian's 6.12.117-1 has .ko.xz, 6.1.192-2 has .ko"},
	{name: SlowDynamicPreemptTCG, means: "with 2 vCPUs under TCG a transition takes 2 to 100 s, since PREEMPT_DYNAMIC pokes 509 cond_resched sites anew: start it with 1",
		since: "6.4", until: "6.16",
		config: []option{set("CONFIG_LIVEPATCH"), set("CONFIG_PREEMPT_DYNAMIC"), set("CONFIG_HAVE_PREEMPT_DYNAMIC_CALL")},
		source: measured + "Debian's 6.12 cloud-amd64, QEMU 7.2 and 10; the range is that of cond-resched-switching, whose sched_dynamic_klp_enable() does the poking"},
}

// Capabilities are the names of all capabilities, in the table's order.
func Capabilities() []Capability {
	var all []Capability
	for _, f := range facts {
		all = append(all, f.name)
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
		if f.name == c {
			return f.holds(k)
		}
	}
	return false
}

func (f fact) holds(k *Kit) bool {
	if f.since != "" && !k.AtLeast(f.since) {
		return false
	}
	if f.until != "" && k.AtLeast(f.until) && Series(k.Version) != f.until {
		return false
	}
	for _, o := range f.config {
		if !slices.Contains(o.values, k.ConfigValue(o.name)) {
			return false
		}
	}
	return true
}

// AtLeast says whether the kernel is of the series since ("6.12") or a later
// one.
func (k *Kit) AtLeast(since string) bool { return atLeast(k.Version, since) }
