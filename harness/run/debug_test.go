// SPDX-License-Identifier: Apache-2.0

package run

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/harness/patch/runpre"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// atStall runs a patch that stalls (a kernel thread sleeps in the patched
// function) with look as its OnStall.
func atStall(t *testing.T, y *Yard, version string, look func(context.Context, Stalled) error) {
	t.Helper()
	p := testPlan(t, y, version, "doze", "")
	p.Dir = filepath.Join(t.TempDir(), "run")
	p.StallAfter = 5 * time.Second
	p.Expected = check.VerdictStalled
	looked := 0
	p.OnStall = func(ctx context.Context, s Stalled) error { looked++; return look(ctx, s) }
	r, err := y.Run(t.Context(), p)
	require.NoError(t, err)
	require.Equal(t, 1, looked)
	require.Equal(t, string(check.VerdictStalled), r.Verdict, r.Reason)
	// It was let go on: the way back was tried.
	require.NotNil(t, r.Transition.Revert)
	require.NotEmpty(t, r.Transition.Revert.Samples)
}

// TestDebugger attaches gdb to a guest that stands still in a stalled
// transition, of a kernel without debugging information: it knows the vCPUs,
// unwinds stacks, knows types, and tells which task has not switched, where it
// sleeps, and which function of which patch that is.
func TestDebugger(t *testing.T) {
	for _, version := range []string{"6.1", "6.12"} {
		t.Run(version, func(t *testing.T) {
			y := testYard(t)
			atStall(t, y, version, func(ctx context.Context, s Stalled) error {
				attach, err := y.Debug(ctx, s.Guest, "", s.Modules...)
				if err != nil {
					return err
				}
				if err := s.Machine.Stop(ctx); err != nil {
					return err
				}
				gdb := func(commands ...string) string {
					words := []string{"-batch"}
					for _, c := range commands {
						words = append(words, "-ex", c)
					}
					out, err := exec.CommandContext(ctx, attach, words...).CombinedOutput()
					require.NoError(t, err, string(out))
					return string(out)
				}
				out := gdb("info threads", "switchyard tasks left", "switchyard patches", "p init_task.comm")
				require.Equal(t, s.CPUs, strings.Count(out, "(CPU#"), out)
				require.Contains(t, gdb("info address load_elf_binary"), `Symbol "load_elf_binary" is`, "one of several of that name")
				stacks := kernelStacks(gdb("thread apply all bt"))
				for len(stacks) == 0 { // each CPU was in a program
					require.NoError(t, s.Machine.Cont(ctx))
					require.NoError(t, s.Machine.Stop(ctx))
					stacks = kernelStacks(gdb("thread apply all bt"))
				}
				for _, stack := range stacks {
					require.Regexp(t, `(?m)^#0 .*\n(#.*\n)*#\d+ .*(start_kernel|cpu_startup_entry|ret_from_fork|asm_|entry_)|^#0 .* in (asm_|entry_)`, stack, "a stack to its end")
				}
				require.Regexp(t, `doze\S* is in transition to patch_state 1`, out)
				require.Regexp(t, `(?m)^doze\S*: enabled, in transition to patch_state 1\n  switchyard_doze: doze_nap -> patched_doze_nap`, out)
				require.Contains(t, out, `"swapper/0`)
				left := regexp.MustCompile(`(?m)^ *\d+ +(\d+)  dozer +D +0$`).FindStringSubmatch(out)
				require.NotNil(t, left, out)
				stack := gdb("switchyard stack " + left[1])
				require.Regexp(t, `(?s)schedule\S*\n.*doze_nap\+\d+.*\n.*doze\+\d+.*\n.*kthread\+.*ret_from_fork`, stack)
				return s.Machine.Cont(ctx)
			})
		})
	}
}

// kernelStacks are the stacks of the CPUs that are in the kernel, as gdb's
// "thread apply all bt" tells them.
func kernelStacks(out string) (stacks []string) {
	for _, stack := range strings.Split(out, "\nThread ")[1:] {
		if !strings.Contains(stack, "\n#0  0x0000") {
			stacks = append(stacks, stack)
		}
	}
	return stacks
}

// TestDump reads a memory dump as crash and drgn do: by the kernel's own note,
// and then by its addresses.
func TestDump(t *testing.T) {
	y := testYard(t)
	atStall(t, y, "6.1", func(ctx context.Context, s Stalled) error {
		path := filepath.Join(t.TempDir(), "memory.elf")
		warning, err := s.Dump(ctx, path)
		require.NoError(t, err)
		require.Empty(t, warning)
		core, err := elf.Open(path)
		require.NoError(t, err)
		defer core.Close()
		about := vmcoreinfo(t, core)
		require.Equal(t, s.Kit.Release, about["OSRELEASE"])
		// Where the kernel's text lies, by its link address and the note.
		image, err := runpre.OpenImage(s.Kit)
		require.NoError(t, err)
		banner, err := image.Lookup(runpre.VMLinux, "linux_banner")
		require.NoError(t, err)
		require.Len(t, banner, 1)
		require.Equal(t, "0", about["NUMBER(phys_base)"], "started without a boot loader's code, it lies where it was linked")
		text := make([]byte, 200)
		require.NoError(t, physical(core, banner[0].Address-0xffffffff80000000, text))
		require.True(t, bytes.HasPrefix(text, []byte("Linux version "+s.Kit.Release)), "%q", text)
		return nil
	})
}

// TestDumpInDrgn has drgn open a dump, and find its way through the kernel's
// page tables in it. (For tasks and stacks it wants a vmlinux with debugging
// information.)
func TestDumpInDrgn(t *testing.T) {
	y := testYard(t)
	tools, err := toolroot.OpenDebugger(t.Context(), y.Store, y.archive)
	require.NoError(t, err)
	atStall(t, y, "6.1", func(ctx context.Context, s Stalled) error {
		dir := t.TempDir()
		path := filepath.Join(dir, "memory.elf")
		_, err := s.Dump(ctx, path)
		require.NoError(t, err)
		image, err := runpre.OpenImage(s.Kit)
		require.NoError(t, err)
		banner, err := image.Lookup(runpre.VMLinux, "linux_banner")
		require.NoError(t, err)
		require.Len(t, banner, 1)
		script := filepath.Join(dir, "banner.py")
		require.NoError(t, os.WriteFile(script, fmt.Appendf(nil, "print(prog['UTS_RELEASE'].string_().decode())\nprint(prog.read(%#x, 80).decode())\n", banner[0].Address), 0o600))
		cmd := exec.CommandContext(ctx, tools.Drgn[0], append(tools.Drgn[1:], "-q", "--no-default-symbols", "-c", path, script)...)
		cmd.Env = append(os.Environ(), tools.Env...)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
		require.True(t, strings.HasPrefix(string(out), s.Kit.Release+"\nLinux version "+s.Kit.Release+" "), "%s", out)
		return nil
	})
}

// vmcoreinfo is the kernel's own note of a core: lines of NAME=VALUE.
func vmcoreinfo(t *testing.T, core *elf.File) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, p := range core.Progs {
		if p.Type != elf.PT_NOTE {
			continue
		}
		notes := make([]byte, p.Filesz)
		_, err := p.ReadAt(notes, 0)
		require.NoError(t, err)
		for len(notes) >= 12 {
			name, desc := int(binary.LittleEndian.Uint32(notes)), int(binary.LittleEndian.Uint32(notes[4:]))
			padded := (name + 3) &^ 3
			if strings.HasPrefix(string(notes[12:12+name]), "VMCOREINFO\x00") {
				for line := range strings.Lines(string(notes[12+padded : 12+padded+desc])) {
					key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
					all[key] = value
				}
			}
			notes = notes[12+padded+(desc+3)&^3:]
		}
	}
	return all
}

// physical reads from a physical address of a core.
func physical(core *elf.File, address uint64, out []byte) error {
	for _, p := range core.Progs {
		if p.Type == elf.PT_LOAD && p.Paddr <= address && address+uint64(len(out)) <= p.Paddr+p.Filesz {
			_, err := p.ReadAt(out, int64(address-p.Paddr))
			return err
		}
	}
	return os.ErrNotExist
}
