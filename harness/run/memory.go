// SPDX-License-Identifier: Apache-2.0

package run

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/patch/runpre"
)

// compareMemory compares the functions that diffs patch with what the guest
// has in its memory, before anything is applied: a module that was built from
// the kernel's source is for no other code. What differs is a refusal.
func (x *execution) compareMemory(ctx context.Context) error {
	var all []runpre.Expectation
	for _, m := range x.modules {
		if m.Manifest.Diff != nil {
			all = append(all, m.Manifest.Diff.Memory...)
		}
	}
	if len(all) == 0 {
		return nil
	}
	memory, err := x.memory(ctx)
	if err != nil {
		return err
	}
	for _, e := range all {
		different, err := e.Check(memory)
		switch {
		case err != nil:
			if _, died := x.death(x.guest.orDeath(err)); died || ctx.Err() != nil {
				return x.guest.orDeath(err)
			}
			x.find(observe.FoundWarning, "the patched functions were compared with the image only: %v", err)
			return nil
		case different != nil:
			x.refuse("not applied: " + different.Error())
			return nil
		}
	}
	return nil
}

// memory is the guest's. A guest that starts without a boot loader's code has
// its kernel where it was linked.
func (x *execution) memory(ctx context.Context) (runpre.Memory, error) {
	g := x.guest
	m := runpre.Memory{Read: func(address uint64, n int) ([]byte, error) { return g.Machine.Memory(ctx, address, n) }}
	m.Section = func(module, section string) (uint64, bool) { return g.Section(ctx, module, section) }
	if !x.kit.NoPVH {
		return m, nil
	}
	var err error
	m.Slide, err = x.slide(ctx)
	return m, err
}

// Section is where a section of a loaded module lies; ok is false where the
// guest does not tell.
func (g *Guest) Section(ctx context.Context, module, section string) (address uint64, ok bool) {
	text, err := g.Client.ReadFile(ctx, path.Join("/sys/module", module, "sections", section))
	if err != nil {
		return 0, false
	}
	address, err = strconv.ParseUint(strings.TrimPrefix(strings.TrimSpace(string(text)), "0x"), 16, 64)
	return address, err == nil
}

// slide is what KASLR added to the addresses of the image, by the symbol that
// the image begins with.
func (x *execution) slide(ctx context.Context) (uint64, error) {
	im, err := runpre.OpenImage(x.kit)
	if err != nil {
		return 0, err
	}
	linked, err := im.Lookup(runpre.VMLinux, "_text")
	if err != nil || len(linked) != 1 {
		return 0, fmt.Errorf("image of %s: where it begins is not known: %w", x.kit.Release, err)
	}
	r, w := io.Pipe()
	go func() { w.CloseWithError(x.guest.Client.Get(ctx, "/proc/kallsyms", w, 64<<20)) }()
	defer r.Close()
	for lines := bufio.NewScanner(r); lines.Scan(); {
		if address, ok := strings.CutSuffix(lines.Text(), " T _text"); ok {
			at, err := strconv.ParseUint(address, 16, 64)
			_, _ = io.Copy(io.Discard, r)
			return at - linked[0].Address, err
		}
	}
	return 0, fmt.Errorf("kallsyms of the guest does not say where the kernel begins")
}
