// SPDX-License-Identifier: Apache-2.0

package local

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/kernels"
)

// need is an option that a kernel must have been built with to be tested here.
type need struct {
	option string
	// module says that =m will do.
	module bool
	why    string
	// with are the options that it depends on, without the prefix.
	with []string
}

// needs are the options without which there is no test, each with the reason.
var needs = []need{
	// Source of with: kernel/livepatch/Kconfig and kernel/trace/Kconfig.
	{"CONFIG_LIVEPATCH", false, "live patches are what is tested", []string{"MODULES", "SYSFS", "KALLSYMS", "KALLSYMS_ALL", "FTRACE", "FUNCTION_TRACER", "DYNAMIC_FTRACE"}},
	{"CONFIG_BLK_DEV_INITRD", false, "a guest's files come in an initramfs", nil},
	{"CONFIG_PROC_FS", false, "the agent reads the tasks there", nil},
	{"CONFIG_DEVTMPFS", false, "the channel's port appears there", nil},
	{"CONFIG_SERIAL_8250_CONSOLE", false, "the kernel's log comes over the serial line", []string{"TTY", "SERIAL_8250"}},
	{"CONFIG_VIRTIO_PCI", true, "it finds the device of the channel to the agent", []string{"PCI", "VIRTIO_MENU"}},
	{"CONFIG_VIRTIO_CONSOLE", true, "it is the channel to the agent", []string{"TTY", "VIRTIO_MENU"}},
}

// check holds the parts that were found against each other.
func (s *survey) check() error {
	if s.elf != nil && s.bz != nil && !sameBuild(s.elf, s.bz) {
		return s.bad("%s is %s %s, and %s is %s %s: they are of two builds", s.elf.path, s.elf.release, s.elf.build, s.bz.path, s.bz.release, s.bz.build)
	}
	if s.config == "" {
		return nil // what the image says of it is read when it is unpacked
	}
	c, text, err := readConfig(s.config)
	if err != nil {
		return s.bad("%v", err)
	}
	if v := configVersion(text); v != "" && kernels.Series(v) != kernels.Series(s.release) {
		return s.bad("the kernel is %s, and the config %s is of %s", s.release, s.config, v)
	}
	return s.checkConfig(c, s.config)
}

// checkConfig makes sure that a kernel with this config, which stands where
// at says, can be tested.
func (s *survey) checkConfig(c config, at string) error {
	if len(c) == 0 {
		return s.bad("its config %s sets no option", at)
	}
	if c["CONFIG_X86_64"] != "y" {
		return s.bad("its config %s is of a kernel for %s; guests here are x86-64", at, architecture(c))
	}
	var lacking, reasons []string
	for _, n := range needs {
		if c[n.option] == "y" || (n.module && c[n.option] == "m") {
			continue
		}
		reasons = append(reasons, fmt.Sprintf("%s (%s)", n.option, n.why))
		for _, w := range append(n.with, strings.TrimPrefix(n.option, "CONFIG_")) {
			if c["CONFIG_"+w] != "y" && !slices.Contains(lacking, w) {
				lacking = append(lacking, w)
			}
		}
	}
	if len(lacking) == 0 {
		return nil
	}
	fix := "scripts/config -e " + strings.Join(lacking, " -e ")
	if slices.Contains(lacking, "LIVEPATCH") && c["CONFIG_TRIM_UNUSED_KSYMS"] == "y" {
		fix += " -d TRIM_UNUSED_KSYMS" // LIVEPATCH depends on its absence
	}
	return s.bad("its config %s does not set %s: in its source run `%s && make olddefconfig` and build it again, or take another kernel", at, strings.Join(reasons, ", "), fix)
}

var configHead = regexp.MustCompile(`(?m)^# Linux/\S+ (\S+) Kernel Configuration$`)

// configVersion is the kernel version that a .config was made for, "" if it
// does not say.
func configVersion(text []byte) string {
	if m := configHead.FindSubmatch(text); m != nil {
		return string(m[1])
	}
	return ""
}

// architecture is what a config is for, in words.
func architecture(c config) string {
	for option, name := range map[string]string{
		"CONFIG_ARM64": "arm64", "CONFIG_ARM": "arm", "CONFIG_X86_32": "32-bit x86", "CONFIG_RISCV": "RISC-V",
		"CONFIG_PPC": "PowerPC", "CONFIG_S390": "s390", "CONFIG_LOONGARCH": "LoongArch",
	} {
		if c[option] == "y" {
			return name
		}
	}
	return "something else than x86-64 (CONFIG_X86_64 is not set)"
}
