// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// sign is what an image shows of an option that it was built with.
type sign struct {
	option string
	// section is one that only such an image has; strings are any of what only
	// such an image contains. One of them is enough.
	section string
	strings []string
	source  string
}

// signs are how an image tells what its config was, as far as the capability
// table and the boot of a guest ask. It is for an image that comes alone: one
// that has no .config inside it either. Debian's have none.
//
// A name between zeros is a function's in the image's BTF, or a driver's.
var signs = []sign{
	{option: "CONFIG_LIVEPATCH", strings: []string{"livepatch: enabling patch '%s'"}, source: "kernel/livepatch/core.c, klp_enable_patch"},
	{option: "CONFIG_DEBUG_INFO_BTF", section: ".BTF", source: "include/asm-generic/vmlinux.lds.h, BTF"},
	{option: "CONFIG_UNWINDER_ORC", section: ".orc_unwind", source: "include/asm-generic/vmlinux.lds.h, ORC_UNWIND_TABLE"},
	{option: "CONFIG_STACKTRACE", strings: []string{"\x00stack_trace_save_tsk_reliable\x00"}, source: "kernel/stacktrace.c, the function's name among the exported or in BTF"},
	// x86-64 selects it with either unwinder that can: arch/x86/Kconfig.
	{option: "CONFIG_HAVE_RELIABLE_STACKTRACE", section: ".orc_unwind", strings: []string{"\x00klp_check_stack_func\x00"}, source: "arch/x86/Kconfig, HAVE_RELIABLE_STACKTRACE"},
	{option: "CONFIG_MODVERSIONS", section: "__kcrctab", source: "include/asm-generic/vmlinux.lds.h, Kernel symbol table"},
	{option: "CONFIG_X86_KERNEL_IBT", section: ".ibt_endbr_seal", source: "arch/x86/kernel/vmlinux.lds.S"},
	{option: "CONFIG_VIRTIO_PCI", strings: []string{"\x00virtio-pci\x00", "\x00virtio_pci.force_legacy\x00"}, source: "drivers/virtio/virtio_pci_common.c, the driver's name and its parameter's"},
	{option: "CONFIG_VIRTIO_CONSOLE", strings: []string{"\x00virtio_console\x00", "\x00virtio-ports\x00"}, source: "drivers/char/virtio_console.c, the driver's name and its class's"},
	{option: "CONFIG_PVPANIC_MMIO", strings: []string{"\x00pvpanic-mmio\x00"}, source: "drivers/misc/pvpanic/pvpanic-mmio.c, the driver's name"},
	{option: "CONFIG_VMGENID", strings: []string{"\x00vmgenid\x00"}, source: "drivers/virt/vmgenid.c, the driver's name"},
	{option: "CONFIG_KPROBES", strings: []string{"\x00kprobe_events\x00", "\x00arm_kprobe\x00"}, source: "kernel/trace/trace_kprobe.c, the file's name; kernel/kprobes.c, the function's"},
	{option: "CONFIG_FUNCTION_GRAPH_TRACER", strings: []string{"\x00function_graph\x00"}, source: "kernel/trace/trace_functions_graph.c, the tracer's name"},
	{option: "CONFIG_DYNAMIC_DEBUG", strings: []string{"\x00dynamic_debug/control\x00", "\x00dynamic_debug\x00"}, source: "lib/dynamic_debug.c, its folder in debugfs"},
	{option: "CONFIG_PREEMPT_DYNAMIC", strings: []string{"Dynamic Preempt: "}, source: "kernel/sched/core.c, preempt_dynamic_init"},
	// x86-64 selects it wherever there is PREEMPT_DYNAMIC: arch/x86/Kconfig.
	{option: "CONFIG_HAVE_PREEMPT_DYNAMIC_CALL", strings: []string{"Dynamic Preempt: "}, source: "arch/x86/Kconfig, HAVE_PREEMPT_DYNAMIC_CALL"},
}

// DeduceConfig writes down what the uncompressed image at path shows of its
// config.
func DeduceConfig(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	file, err := elf.NewFile(f)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "# Not the kernel's .config, of which there is none: options that the image\n# shows to be set. What is not here may be set or not.\nCONFIG_X86_64=y\n")
	for _, s := range signs {
		ok, err := s.shown(file, f)
		if err != nil {
			return nil, err
		}
		if ok {
			fmt.Fprintf(&out, "%s=y\n", s.option)
		}
	}
	return out.Bytes(), nil
}

func (s sign) shown(file *elf.File, f io.ReaderAt) (bool, error) {
	if s.section != "" && HasSection(file, s.section) {
		return true, nil
	}
	for _, text := range s.strings {
		at, err := Find(f, 0, []byte(text))
		if err != nil || at >= 0 {
			return at >= 0, err
		}
	}
	return false, nil
}

// HasSection says whether the ELF image has a section of that name with
// something in it.
func HasSection(f *elf.File, name string) bool {
	s := f.Section(name)
	return s != nil && s.Size > 0
}

// window is how much of an image is in memory at once while it is searched.
const window = 1 << 20

// Find gives the first place of needle in f at or behind from, -1 if
// there is none. An image may have a GB of debug information, so it is never
// read as a whole.
func Find(f io.ReaderAt, from int64, needle []byte) (int64, error) {
	buf := make([]byte, window)
	for {
		n, err := f.ReadAt(buf, from)
		if i := bytes.Index(buf[:n], needle); i >= 0 {
			return from + int64(i), nil
		}
		if errors.Is(err, io.EOF) {
			return -1, nil
		}
		if err != nil {
			return -1, fmt.Errorf("cannot be read: %w", err)
		}
		from += int64(n - len(needle) + 1)
	}
}

// BuiltinList is the content of a modules.builtin for an image that comes
// without one: the modules that its config says are in it, of those that a
// guest needs.
func BuiltinList(value func(option string) string) []byte {
	var out bytes.Buffer
	for _, m := range []struct{ option, path string }{
		{"CONFIG_VIRTIO_PCI", "kernel/drivers/virtio/virtio_pci.ko"},
		{"CONFIG_VIRTIO_CONSOLE", "kernel/drivers/char/virtio_console.ko"},
		{"CONFIG_PVPANIC_MMIO", "kernel/drivers/misc/pvpanic/pvpanic-mmio.ko"},
	} {
		if value(m.option) == "y" {
			fmt.Fprintln(&out, m.path)
		}
	}
	return out.Bytes()
}

// SignsVersion changes when what is deduced from an image may.
func SignsVersion() string { return fmt.Sprintf("%q", signs) }

// shows says whether an image can show that the option is set.
func shows(option string) bool {
	return slices.ContainsFunc(signs, func(s sign) bool { return s.option == option })
}

// FillFromImage gives a kit that came as an image alone what the image shows:
// a config of the options that it shows to be set (see DeduceConfig), and a
// modules folder with a list of those that are built in. What is there stays.
// The kit's VMLinux is in place, and its Dir may be written to.
func (k *Kit) FillFromImage() error {
	if k.ConfigFile == "" {
		text, err := DeduceConfig(k.VMLinux)
		if err != nil {
			return fmt.Errorf("config of kernel %s: %w", k.Release, err)
		}
		k.ConfigFile, k.ConfigDeduced = filepath.Join(k.Dir, "config"), true
		if err := os.WriteFile(k.ConfigFile, text, 0o644); err != nil {
			return err
		}
	}
	if _, err := os.Stat(k.ModulesDir); k.ModulesDir != "" && err == nil {
		return nil
	}
	k.ModulesDir = filepath.Join(k.Dir, "lib/modules", k.Release)
	if err := os.MkdirAll(k.ModulesDir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(k.ModulesDir, "modules.builtin"), BuiltinList(k.ConfigValue), 0o644)
}

// SignedOptions are the options that an image shows to be set.
func SignedOptions() (all []string) {
	for _, s := range signs {
		all = append(all, s.option)
	}
	return all
}
