// SPDX-License-Identifier: Apache-2.0

// Package debugger is what a kernel debugger needs to know of a guest: symbols
// and types of a kernel that was shipped without them, where its modules lie,
// and how its stacks are unwound.
//
// What must not live here: the machine (its gdbstub and dumps are package
// vm's) and when a guest is stopped (package run).
package debugger

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"debug/elf"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/switchyard-project/switchyard/harness/patch/btf"
	"github.com/switchyard-project/switchyard/harness/patch/object"
	"github.com/switchyard-project/switchyard/harness/patch/runpre"
	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

const (
	entryKind  = "debugger"
	symbolFile = "kernel.sym"
	// format is part of the entries' names: count it up when what is written
	// here changes.
	format = "2"
	// inside is where the files stand in the tool root.
	inside = "/build"
)

//go:embed gdb/types.c
var typesSource []byte

// Symbols gives an ELF file that a debugger takes for kit's vmlinux: the one
// with debugging information that a build left, else one made of what every
// image has in it: the symbols of its kallsyms, with the types of its BTF
// compiled to DWARF. It is made once for each kernel. Errors: btf.ErrNoTypes,
// *kernels.Lacking without tools.
func Symbols(ctx context.Context, st *store.Store, tools btf.Tools, kit *kernels.Kit) (string, error) {
	if built := filepath.Join(kit.BuildDir, "vmlinux"); kit.BuildDir != "" && debuggable(built) {
		return built, nil
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %s %s %s", kit.Release, kit.Version, filepath.Base(kit.Dir), typesSource))
	dir, err := st.Make(ctx, entryKind, format+"-"+kit.Release+"-"+hex.EncodeToString(sum[:8]), func(ctx context.Context, dir string) error {
		return makeSymbols(ctx, st, tools, kit, dir)
	})
	if err != nil {
		return "", fmt.Errorf("symbols of %s for a debugger: %w", kit.Release, err)
	}
	return filepath.Join(dir, symbolFile), nil
}

// debuggable says that the file has debugging information.
func debuggable(path string) bool {
	f, err := elf.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return f.Section(".debug_info") != nil
}

func makeSymbols(ctx context.Context, st *store.Store, tools btf.Tools, kit *kernels.Kit, dir string) error {
	kernel, err := btf.Open(ctx, st, tools, kit)
	if err != nil {
		return err
	}
	root, err := tools(ctx)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp(dir, "work-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := os.WriteFile(filepath.Join(work, "types.c"), typesSource, 0o644); err != nil {
		return err
	}
	places, err := writeSymbols(kit, filepath.Join(work, "symbols.o"))
	if err != nil {
		return err
	}
	// gdb ends a stack in the function of the entry point: with none, where it
	// knows no function.
	link := []string{"ld", "-o", symbolFile, "-e", "startup_64", "--no-warn-rwx-segments", "--unresolved-symbols=ignore-all", "types.o", "symbols.o"}
	for _, argv := range [][]string{
		{"gcc", "-c", "-std=gnu11", "-fms-extensions", "-fshort-wchar", "-funsigned-char", "-mcmodel=kernel", "-fno-pic", "-mno-sse", "-w",
			"-g", "-gdwarf-4", "-fno-eliminate-unused-debug-types", "-fdebug-prefix-map=" + inside + "=.",
			"-isystem", "/types", "-o", "types.o", "types.c"},
		append(link, places...),
	} {
		var said toolroot.Log
		err := root.Run(ctx, toolroot.Job{
			Argv: argv, Dir: inside, Stdout: &said, Stderr: &said,
			Mounts: []toolroot.Bind{{Host: work, Inside: inside, Writable: true}, {Host: filepath.Join(kernel.Dir, "include", "switchyard"), Inside: "/types"}},
		})
		if err != nil {
			return fmt.Errorf("%s: %w\n%s", argv[0], err, toolroot.LastWords(said.String()))
		}
	}
	return os.Rename(filepath.Join(work, symbolFile), filepath.Join(dir, symbolFile))
}

// writeSymbols writes an object with the kernel's symbols, in sections without
// contents, and gives the linker's arguments that put those where the image has
// its own.
func writeSymbols(kit *kernels.Kit, path string) ([]string, error) {
	image, err := runpre.OpenImage(kit)
	if err != nil {
		return nil, err
	}
	symbols, err := image.Symbols(runpre.VMLinux)
	if err != nil {
		return nil, err
	}
	f, err := elf.Open(kit.VMLinux)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	o, places := symbolObject(f.Sections, symbols)
	out, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	w := bufio.NewWriter(out)
	if err := errors.Join(o.Write(w), w.Flush()); err != nil {
		return nil, err
	}
	return places, out.Close()
}

// kernelHalf is where a kernel's addresses begin; below are offsets into the
// data of a CPU.
const kernelHalf = 1 << 63

// symbolObject is the object; a symbol ends where the next one begins. Those
// that have a name for themselves are global, whatever they were: so the types
// of variables find them.
func symbolObject(sections []*elf.Section, symbols []runpre.Symbol) (o *object.Object, places []string) {
	// Of a file whose sections are all empty ld drops the local symbols
	// (ld/ldwrite.c, build_link_order).
	content := []byte("\x00switchyard\x00")
	o = &object.Object{Name: "symbols.o", Sections: []*object.Section{{Name: ".comment", Type: elf.SHT_PROGBITS, Align: 1, Size: uint64(len(content)), Data: content}}}
	symbols = slices.Clone(symbols)
	slices.SortStableFunc(symbols, func(a, b runpre.Symbol) int { return cmp.Compare(a.Address, b.Address) })
	named := map[string]int{}
	for _, one := range symbols {
		named[one.Name]++
	}
	for i, s := range sections {
		if s.Flags&elf.SHF_ALLOC == 0 || s.Addr < kernelHalf || s.Size == 0 {
			continue
		}
		mine := &object.Section{Name: fmt.Sprintf(".kernel%d", i), Type: elf.SHT_NOBITS, Flags: s.Flags & (elf.SHF_ALLOC | elf.SHF_EXECINSTR | elf.SHF_WRITE), Align: 1, Size: s.Size}
		o.Sections = append(o.Sections, mine)
		places = append(places, fmt.Sprintf("--section-start=%s=%#x", mine.Name, s.Addr))
		kind := elf.STT_OBJECT
		if s.Flags&elf.SHF_EXECINSTR != 0 {
			kind = elf.STT_FUNC
		}
		first, _ := slices.BinarySearchFunc(symbols, s.Addr, func(one runpre.Symbol, at uint64) int { return cmp.Compare(one.Address, at) })
		end, next := s.Addr+s.Size, uint64(0)
		last := first
		for last < len(symbols) && symbols[last].Address < end {
			last++
		}
		for next = end; last > first; last-- {
			one := symbols[last-1]
			bind := elf.STB_LOCAL
			if named[one.Name] == 1 {
				bind = elf.STB_GLOBAL
			}
			if last < len(symbols) && symbols[last].Address > one.Address {
				next = min(end, symbols[last].Address)
			}
			o.Symbols = append(o.Symbols, &object.Symbol{Name: one.Name, Bind: bind, Type: kind, Section: mine, Value: one.Address - s.Addr, Size: next - one.Address})
		}
	}
	return o, places
}
