// SPDX-License-Identifier: Apache-2.0

// Package tasklist reads the list of tasks out of a guest's memory, from
// outside: of a guest that no longer answers it is the only witness of who had
// not switched.
//
// What lives here: where the kernel keeps its tasks, by the image's own types
// and symbols, and the walk over them, which must end whatever is in memory.
// What must not: how memory is read (package vm), and what to make of a task
// (package check).
package tasklist

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"

	"github.com/cilium/ebpf/btf"

	"github.com/switchyard-project/switchyard/harness/patch/runpre"
	"github.com/switchyard-project/switchyard/kernels"
)

// field is a member of a struct: its offset and size in bytes. A size of 0
// says that this kernel has no such member.
type field struct{ offset, size uint64 }

// Layout is where a kernel keeps its tasks, in its image's addresses.
type Layout struct {
	initTask, faultEntry    uint64 // symbols: init_task, asm_exc_page_fault
	runqueues, perCPUOffset uint64 // symbols; 0 if there is none

	// of struct task_struct
	tasks, threadNode, signal, pid, tgid, comm, patchState, state, flags, onCPU, cpu field
	threadHead                                                                       field // of struct signal_struct
	idle                                                                             field // of struct rq
}

// LayoutOf reads the layout from a kit's image. An image without types is a
// *kernels.Lacking.
func LayoutOf(kit *kernels.Kit) (*Layout, error) {
	types, err := readTypes(kit)
	if err != nil {
		return nil, err
	}
	l := &Layout{}
	for _, want := range []struct {
		in       string
		paths    []string // one of them
		to       *field
		optional bool
	}{
		{"task_struct", []string{"tasks.next"}, &l.tasks, false},
		{"task_struct", []string{"thread_node.next"}, &l.threadNode, false},
		{"task_struct", []string{"signal"}, &l.signal, false},
		{"task_struct", []string{"pid"}, &l.pid, false},
		{"task_struct", []string{"tgid"}, &l.tgid, false},
		{"task_struct", []string{"comm"}, &l.comm, false},
		{"task_struct", []string{"patch_state"}, &l.patchState, false},
		{"task_struct", []string{"__state", "state"}, &l.state, false}, // renamed in 5.14
		{"task_struct", []string{"flags"}, &l.flags, false},
		{"task_struct", []string{"on_cpu"}, &l.onCPU, true},
		{"task_struct", []string{"thread_info.cpu", "cpu"}, &l.cpu, true}, // moved in 5.17
		{"signal_struct", []string{"thread_head.next"}, &l.threadHead, false},
		{"rq", []string{"idle"}, &l.idle, true},
	} {
		f, err := find(types, want.in, want.paths)
		if err != nil && !want.optional {
			return nil, fmt.Errorf("task list of %s: %w", kit.Release, err)
		}
		*want.to = f
	}
	im, err := runpre.OpenImage(kit)
	if err != nil {
		return nil, err
	}
	for name, to := range map[string]*uint64{
		"init_task": &l.initTask, "asm_exc_page_fault": &l.faultEntry, "runqueues": &l.runqueues, "__per_cpu_offset": &l.perCPUOffset,
	} {
		places, err := im.Lookup(runpre.VMLinux, name)
		if err == nil && len(places) == 1 {
			*to = places[0].Address
		}
	}
	if l.initTask == 0 {
		return nil, fmt.Errorf("task list of %s: the image's symbols do not name init_task", kit.Release)
	}
	return l, nil
}

func readTypes(kit *kernels.Kit) (*btf.Spec, error) {
	f, err := elf.Open(kit.VMLinux)
	if err != nil {
		return nil, fmt.Errorf("kernel image of %s: %w", kit.Release, err)
	}
	defer f.Close()
	section := f.Section(".BTF")
	if section == nil || section.Size == 0 {
		return nil, &kernels.Lacking{What: "types in the image of " + kit.Release + " (.BTF)", Remedy: "build the kernel with CONFIG_DEBUG_INFO_BTF"}
	}
	raw, err := section.Data()
	if err != nil {
		return nil, fmt.Errorf("kernel image of %s: .BTF: %w", kit.Release, err)
	}
	types, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
	if err != nil {
		return nil, fmt.Errorf("kernel image of %s: .BTF: %w", kit.Release, err)
	}
	return types, nil
}

// find is the first of paths ("thread_info.cpu") that the struct has.
func find(types *btf.Spec, in string, paths []string) (field, error) {
	var s *btf.Struct
	if err := types.TypeByName(in, &s); err != nil {
		return field{}, fmt.Errorf("struct %s: %w", in, err)
	}
	for _, path := range paths {
		if f, ok := member(s, path); ok {
			return f, nil
		}
	}
	return field{}, fmt.Errorf("struct %s has no member %q", in, paths)
}

// member finds a member by its path; members of nameless structs and unions
// count as the outer one's, as in C.
func member(t btf.Type, path string) (field, bool) {
	name, rest := path, ""
	if i := bytes.IndexByte([]byte(path), '.'); i >= 0 {
		name, rest = path[:i], path[i+1:]
	}
	for _, m := range members(t) {
		at := uint64(m.Offset.Bytes())
		switch {
		case m.Name == "":
			if f, ok := member(m.Type, path); ok {
				f.offset += at
				return f, true
			}
		case m.Name != name:
		case rest != "":
			f, ok := member(m.Type, rest)
			f.offset += at
			return f, ok
		default:
			size, err := btf.Sizeof(m.Type)
			return field{at, uint64(size)}, err == nil && size > 0
		}
	}
	return field{}, false
}

func members(t btf.Type) []btf.Member {
	switch t := btf.UnderlyingType(t).(type) {
	case *btf.Struct:
		return t.Members
	case *btf.Union:
		return t.Members
	}
	return nil
}

// errNotThere says that memory is not what the image says.
var errNotThere = errors.New("the kernel is not where its image says: no idle task lies at init_task")
