// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/channel"
	"github.com/switchyard-project/switchyard/harness/patch"
)

// hookedFile lists the functions whose calls ftrace redirects, each with what
// it is redirected by.
const hookedFile = "/sys/kernel/tracing/enabled_functions"

// unhooked says, in a sentence each, which of the kernel's functions that an
// applied patch is to replace are not hooked, so that every call still reaches
// the old code although all of sysfs says "patched". Kernels from 5.18 to 6.14
// do that where a weak function that another file overrides lies behind the
// patched one: its symbol is gone and its fentry site is not, and
// ftrace_location() may find that site, which ftrace knows to be dead, within
// what kallsyms takes for the patched function (seen: loadavg_proc_show of a
// 6.6.3). Commit ef378c3b8233 (6.15, and stable releases of 6.12) takes the dead
// sites out.
//
// Functions of modules that are not loaded are not looked at: they are hooked
// when they are there.
func (g *Guest) unhooked(ctx context.Context, m *patch.Module) ([]string, error) {
	text, err := g.Client.ReadFile(ctx, hookedFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // no tracing in this kernel
	}
	if err != nil {
		return nil, g.orDeath(fmt.Errorf("which functions are hooked: %w", err))
	}
	functions := m.Manifest.Functions
	if slices.ContainsFunc(functions, func(f patch.Function) bool { return f.Object != "vmlinux" }) {
		loaded, err := g.Client.Modules(ctx)
		if err != nil {
			return nil, g.orDeath(fmt.Errorf("which functions are hooked: %w", err))
		}
		functions = slices.DeleteFunc(slices.Clone(functions), func(f patch.Function) bool {
			return f.Object != "vmlinux" && !slices.ContainsFunc(loaded, func(m channel.Module) bool { return m.Name == f.Object })
		})
	}
	return notIn(string(text), functions), nil
}

// notIn says which functions a text of hookedFile does not have as hooked by
// somebody who may change where a call goes (flag I, IPMODIFY). Of a module's
// function it says "name [module] (1) …".
func notIn(text string, functions []patch.Function) (missing []string) {
	hooked := map[string]bool{}
	for line := range strings.Lines(text) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		if module, after, of := strings.Cut(rest, "] "); of && strings.HasPrefix(module, "[") {
			name, rest = name+" "+module+"]", after
		}
		flags, _, _ := strings.Cut(rest, "\ttramp:")
		if strings.Contains(flags, "I") {
			hooked[name] = true
		}
	}
	for _, f := range functions {
		switch {
		case f.NewName == "":
		case f.Object != "vmlinux" && !hooked[f.Name+" ["+f.Object+"]"]:
			missing = append(missing, fmt.Sprintf("no call reaches the new %s() of %s: the kernel counts it as patched, yet ftrace does not hook it", f.Name, f.Object))
		case f.Object == "vmlinux" && !hooked[f.Name]:
			missing = append(missing, fmt.Sprintf("no call reaches the new %s(): the kernel counts it as patched, yet ftrace does not hook it (a dead fentry site behind the function misleads kernels from 5.18 to 6.14); patch its callers instead", f.Name))
		}
	}
	return missing
}
