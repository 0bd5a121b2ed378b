// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"path"
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/refusal"
	"github.com/switchyard-project/switchyard/harness/patch/unified"
)

// kind is what a file of the source is to a live patch.
type kind int

const (
	code         kind = iota // C that may be compiled by itself
	header                   // C that others include
	assemblyCode             // for the assembler
	userCode                 // vDSO: runs in user space
	bootCode                 // runs before the kernel proper
	notCode                  // nothing of the kernel's image is compiled from it
)

// userFolders hold what runs in user space although it is in the image.
//
// Source: arch/x86/entry/vdso/Makefile, lib/vdso/Makefile; 6.19 moved the
// former's files into folders below it.
var userFolders = []string{"arch/x86/entry/vdso/", "arch/x86/um/vdso/", "lib/vdso/"}

// bootFolders hold what is gone when the kernel runs, or is no part of its
// code.
//
// Source: arch/x86/Makefile (boot, purgatory, realmode), which link images of
// their own.
var bootFolders = []string{"arch/x86/boot/", "arch/x86/purgatory/", "arch/x86/realmode/"}

// outsideFolders hold programs and texts around the kernel.
var outsideFolders = []string{"Documentation/", "LICENSES/", "certs/", "rust/", "scripts/", "tools/", "usr/"}

// kindOf goes by the name.
func kindOf(name string) kind {
	switch {
	case within(name, outsideFolders):
		return notCode
	case within(name, bootFolders):
		return bootCode
	}
	switch path.Ext(name) {
	case ".c":
		if within(name, userFolders) {
			return userCode
		}
		return code
	case ".h", ".inc", ".def":
		if within(name, userFolders) {
			return userCode
		}
		return header
	case ".S", ".s":
		if within(name, userFolders) {
			return userCode
		}
		return assemblyCode
	}
	return notCode
}

func within(name string, folders []string) bool {
	for _, f := range folders {
		if strings.HasPrefix(name, f) {
			return true
		}
	}
	return false
}

// sorted is what the diff changes, by what has to be done about it.
type sorted struct {
	sources, headers []unified.Changed
}

// sort looks at every changed file. Files that cannot be live-patched are
// refused, those that nothing comes of are passed over: a fix often brings a
// comment, a test or a line of documentation along. Nothing but such files is
// refused as well.
func (p *pipeline) sort(changed []unified.Changed) (s sorted) {
	for _, c := range changed {
		f := File{Name: c.Name, Hunks: c.Hunks}
		switch k := kindOf(c.Name); {
		case k == notCode:
			f.Ignored = "no code of the kernel's"
		case c.Before != nil && c.After != nil && k != assemblyCode && sameCode(c.Before, c.After):
			f.Ignored = "only comments or space change"
		case k == userCode:
			p.fail(p.refuse(refusal.VDSO, c.Name, "take it to a reboot", "this code runs in user space (vDSO), where each process has it mapped already"))
		case k == bootCode:
			p.fail(p.refuse(refusal.InitExit, c.Name, "leave the file out of the diff", "this code is not part of the running kernel: it ran before it, or runs after it"))
		case k == assemblyCode:
			p.fail(p.refuse(refusal.Assembly, c.Name, "patch the C functions that call it", "assembly cannot be live-patched: its functions have no call of __fentry__ and no known beginning and end"))
		case k == header:
			s.headers = append(s.headers, c)
		default:
			s.sources = append(s.sources, c)
		}
		p.made.Files = append(p.made.Files, f)
	}
	if len(p.failed()) > 0 || len(s.sources)+len(s.headers) > 0 {
		return s
	}
	p.fail(p.nothing())
	return s
}

// nothing is the refusal of a diff of which no file is code that changes.
func (p *pipeline) nothing() *refusal.Refusal {
	text, comments := 0, 0
	name := ""
	for _, f := range p.made.Files {
		name = f.Name
		if strings.HasPrefix(f.Ignored, "only") {
			comments++
		} else {
			text++
		}
	}
	if len(p.made.Files) > 1 {
		name = ""
	}
	switch {
	case comments == 0 && text == 0:
		return p.refuse(refusal.NoEffect, "", "", "the diff changes nothing")
	case comments == 0:
		return p.refuse(refusal.NotCode, name, "change code, or leave it to the next build of the kernel", "no code that is built changes: Kconfig, Makefiles, documentation and tools are not part of a running kernel")
	}
	return p.refuse(refusal.NoEffect, name, "there is nothing to patch", "the diff has no functional change: only comments or space change")
}
