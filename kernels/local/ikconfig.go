// SPDX-License-Identifier: Apache-2.0

package local

import (
	"bytes"
	"compress/gzip"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// maxConfig bounds a .config, in bytes; distributions' have 300 KB.
const maxConfig = 16 << 20

// findIKConfig gives the .config that an uncompressed image holds, nil if it
// holds none (CONFIG_IKCONFIG).
//
// Source: kernel/configs.c, kernel_config_data: "IKCFG_ST", the gzipped
// .config, "IKCFG_ED"; scripts/extract-ikconfig finds it the same way.
func findIKConfig(f io.ReaderAt) ([]byte, error) {
	start := []byte("IKCFG_ST")
	for at := int64(0); ; at++ {
		var err error
		if at, err = findFrom(f, at, start); err != nil || at < 0 {
			return nil, err
		}
		z, err := gzip.NewReader(io.NewSectionReader(f, at+int64(len(start)), maxConfig))
		if err != nil {
			continue // the words alone, in some string
		}
		z.Multistream(false)
		text, err := io.ReadAll(io.LimitReader(z, maxConfig+1))
		if err != nil {
			return nil, fmt.Errorf("the config in the image (CONFIG_IKCONFIG) is damaged: %w", err)
		}
		if len(text) > maxConfig {
			return nil, fmt.Errorf("the config in the image (CONFIG_IKCONFIG) has more than %d MiB", maxConfig>>20)
		}
		return text, nil
	}
}

// config is a .config's options that are set, with their values, by the name
// with its prefix: "CONFIG_LIVEPATCH".
type config map[string]string

func parseConfig(text []byte) config {
	c := config{}
	for line := range bytes.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(string(line)), "=")
		if ok && strings.HasPrefix(name, "CONFIG_") {
			// In .config strings are quoted, in auto.conf they are bare.
			if bare, err := strconv.Unquote(value); err == nil {
				value = bare
			}
			c[name] = value
		}
	}
	return c
}

func readConfig(path string) (config, []byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("its config %s cannot be read: %w", path, err)
	}
	return parseConfig(text), text, nil
}

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

// deduceConfig writes down what the uncompressed image at path shows of its
// config.
func deduceConfig(path string) ([]byte, error) {
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
	if s.section != "" && hasSection(file, s.section) {
		return true, nil
	}
	for _, text := range s.strings {
		at, err := findFrom(f, 0, []byte(text))
		if err != nil || at >= 0 {
			return at >= 0, err
		}
	}
	return false, nil
}
