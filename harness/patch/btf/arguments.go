// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"fmt"

	"github.com/cilium/ebpf/btf"
)

// argumentRegisters is how many registers carry a call's arguments.
//
// Source: System V ABI for x86-64, 3.2.3 (rdi, rsi, rdx, rcx, r8, r9).
const argumentRegisters = 6

// OnlyRegisters says why a call of the function name may pass something on the
// stack, which a stub that calls it from a frame of its own would hide; "" if
// it cannot. Every function of that name is looked at.
func OnlyRegisters(spec *btf.Spec, name string) string {
	found, err := spec.AnyTypesByName(name)
	known := false
	for _, t := range found {
		f, ok := t.(*btf.Func)
		if !ok {
			continue
		}
		known = true
		if why := onStack(f); why != "" {
			return why
		}
	}
	if err != nil || !known {
		return "the kernel's types do not tell its parameters, and one on the stack would be lost"
	}
	return ""
}

func onStack(f *btf.Func) string {
	proto, ok := f.Type.(*btf.FuncProto)
	if !ok {
		return "it has no prototype"
	}
	used := 0
	if n, err := btf.Sizeof(proto.Return); err == nil && n > 16 {
		used++ // the address of the result
	}
	for _, p := range proto.Params {
		if _, void := p.Type.(*btf.Void); void {
			return "it takes a variable number of arguments, which may be on the stack"
		}
		size, err := btf.Sizeof(p.Type)
		if err != nil {
			return fmt.Sprintf("its parameter %s has no known size", p.Name)
		}
		if _, float := btf.UnderlyingType(p.Type).(*btf.Float); float || size > 16 {
			return fmt.Sprintf("its parameter %s is passed on the stack", p.Name)
		}
		used += (size + 7) / 8
	}
	if used > argumentRegisters {
		return fmt.Sprintf("its arguments need %d registers, so some are on the stack", used)
	}
	return ""
}
