// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
)

// fexit reads a file while a BPF program that does nothing is called each time
// that a function of the kernel returns: what calls the function then, on every
// stack with it, is code that was made for the program (its trampoline).
func fexit(args []string) error {
	if err := wants(args, "FUNCTION", "FILE"); err != nil {
		return err
	}
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.Tracing, AttachType: ebpf.AttachTraceFExit, AttachTo: args[0], License: "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()},
	})
	if err != nil {
		return fmt.Errorf("load the BPF program: %w", err)
	}
	defer program.Close()
	l, err := link.AttachTracing(link.TracingOptions{Program: program})
	if err != nil {
		return fmt.Errorf("attach it to %s: %w", args[0], err)
	}
	defer l.Close()
	text, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	_, err = os.Stdout.Write(text)
	return err
}
