// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/switchyard-project/switchyard/kernels"
)

// configure makes a .config in the build folder out.
func (b *build) configure(ctx context.Context, out string) error {
	own := []byte(b.plan.localVersion())
	fragments := configText(merged(b.plan.fragments))
	target, file, text, extra := "allnoconfig", "fragment.config", append(fragments, own...), []string{"KCONFIG_ALLCONFIG=" + insideBuild + "/fragment.config"}
	if b.plan.config != nil {
		// Of an option that is named twice, Kconfig takes the last.
		target, file, text, extra = "olddefconfig", ".config", bytes.Join([][]byte{b.plan.config, fragments, own}, []byte("\n")), nil
	}
	if err := os.WriteFile(filepath.Join(out, file), text, 0o644); err != nil {
		return err
	}
	if err := b.make(ctx, out, nil, append(extra, target)...); err != nil {
		return err
	}
	return b.checkConfig(filepath.Join(out, ".config"))
}

// needs are the options without which there is nothing to test, each with what
// it is needed for and the fragment of ours that sets it.
var needs = []struct{ name, values, why, fragment string }{
	{"CONFIG_LIVEPATCH", "y", "live patches", "livepatch"},
	{"CONFIG_PVH", "y", "QEMU starts the uncompressed kernel by its PVH entry", "guest"},
	{"CONFIG_BLK_DEV_INITRD", "y", "a guest's files are an initramfs", "guest"},
	{"CONFIG_DEVTMPFS", "y", "the agent opens its port in /dev", "guest"},
	{"CONFIG_PROC_FS", "y", "tasks and their stacks are read in /proc", "guest"},
	{"CONFIG_SERIAL_8250_CONSOLE", "y", "the kernel's log comes by the serial console", "guest"},
	{"CONFIG_VIRTIO_PCI", "ym", "the channel is a virtio port", "guest"},
	{"CONFIG_VIRTIO_CONSOLE", "ym", "the channel is a virtio port", "guest"},
	{"CONFIG_PVPANIC_MMIO", "ym", "QEMU is told of a panic while it happens", "guest"},
}

// livepatchNeeds is what CONFIG_LIVEPATCH depends on and a config may lack.
//
// Source: kernel/livepatch/Kconfig.
var livepatchNeeds = []string{"CONFIG_MODULES", "CONFIG_SYSFS", "CONFIG_KALLSYMS_ALL", "CONFIG_DYNAMIC_FTRACE"}

// checkConfig holds a finished .config to what was asked for.
func (b *build) checkConfig(path string) error {
	k := &kernels.Kit{ConfigFile: path}
	value := func(name string) string {
		if v := k.ConfigValue(name); v != "" {
			return v
		}
		return "n"
	}
	taken := func(o option) bool { return value(o.name) == strings.Trim(o.value, `"`) }
	asked, wished := b.plan.asked()
	for _, o := range asked {
		if !taken(o) {
			return &InputError{"option " + o.name + "=" + o.value, b.whyNot(o, value(o.name)), nil}
		}
	}
	b.notTaken = nil
	for _, o := range wished {
		if !taken(o) {
			b.notTaken = append(b.notTaken, o.name)
		}
	}
	for _, need := range needs {
		if strings.Contains(need.values, value(need.name)) {
			continue
		}
		what := b.plan.spec.Config
		if what == "" {
			what = b.plan.what()
		}
		reason := fmt.Sprintf("%s is not set in it (%s)", need.name, need.why)
		if need.name == "CONFIG_LIVEPATCH" {
			var missing []string
			for _, dep := range livepatchNeeds {
				if value(dep) != "y" {
					missing = append(missing, dep+"=y")
				}
			}
			if len(missing) > 0 {
				reason += ", and neither is what that needs: " + strings.Join(missing, ", ")
			}
		}
		return &InputError{what, fmt.Sprintf("%s; set it by `-fragment %s`, which has all that belongs to it", reason, need.fragment), nil}
	}
	return nil
}

// whyNot says why the kernel did not take an option that was asked for.
func (b *build) whyNot(o option, got string) string {
	state := "it came out as " + got
	entry, ok := b.kconfigEntry(strings.TrimPrefix(o.name, "CONFIG_"))
	switch {
	case !ok:
		return fmt.Sprintf("kernel %s has no such option", b.plan.origin.version)
	case entry != "":
		return fmt.Sprintf("the kernel did not take it (%s): it depends on what is not set (%s)", state, entry)
	}
	return fmt.Sprintf("the kernel did not take it (%s): the menu it stands in, or the choice it is part of, is set otherwise", state)
}

// kconfigEntry finds an option in the tree's Kconfig files, and gives its
// dependencies.
func (b *build) kconfigEntry(name string) (depends string, ok bool) {
	head := regexp.MustCompile(`(?m)^\s*(?:menu)?config ` + regexp.QuoteMeta(name) + `$`)
	_ = filepath.WalkDir(b.source, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasPrefix(d.Name(), "Kconfig") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil
		}
		at := head.FindIndex(text)
		if at == nil {
			return nil
		}
		ok = true
		for line := range strings.Lines(string(text[at[1]:])) {
			line = strings.TrimSpace(line)
			if strings.HasPrefix(line, "config ") || strings.HasPrefix(line, "menuconfig ") || line == "help" {
				break
			}
			if on, found := strings.CutPrefix(line, "depends on "); found {
				depends = strings.TrimPrefix(depends+" and "+on, " and ")
			}
		}
		return fs.SkipAll
	})
	return depends, ok
}
