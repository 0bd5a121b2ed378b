// SPDX-License-Identifier: Apache-2.0

package runpre

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"

	"github.com/switchyard-project/switchyard/harness/patch/refusal"
)

// Body is the offset behind the fentry site of the function at p, in bytes:
// where a replacement can go on in the original. Errors are *refusal.Refusal:
// code that is gone after the boot, data, a function without such a site.
func (im *Image) Body(p Place) (int, error) {
	s, err := im.space(p.Object)
	if err != nil {
		return 0, err
	}
	refuse := func(code refusal.Code, text, advice string) error {
		return &refusal.Refusal{Code: code, Function: p.Name, Release: im.kit.Release, Text: text, Advice: advice}
	}
	g := s.segmentAt(p.Address)
	switch {
	case g == nil || !isCode(s, p):
		return 0, refuse(refusal.NotCode, "it is no function", "")
	case strings.HasPrefix(g.name, ".init") || strings.HasPrefix(g.name, ".exit"):
		return 0, refuse(refusal.InitExit, fmt.Sprintf("it is in %s, which is there only while the kernel starts or a module goes", g.name), "")
	}
	code := s.at(p.Address, len(endbr64)+len(nop5))
	before := 0
	if after, ok := bytes.CutPrefix(code, endbr64); ok {
		before, code = len(endbr64), after
	}
	if len(code) == 0 || !bytes.HasPrefix(code, nop5) && !im.callsFentry(s, p.Address+uint64(before), code) {
		return 0, refuse(refusal.NoFentry, "it does not begin with a call of __fentry__: it is assembly, or its source forbids tracing (notrace)", "take a function that calls it or that it calls")
	}
	return before + len(nop5), nil
}

// isCode says that p is a function by its letter. Data in an executable
// section has the letter of code as well; it does not call __fentry__.
func isCode(s *space, p Place) bool {
	for _, i := range s.symbolsAt(p.Address) {
		if sym := s.symbols[i]; sym.Name == p.Name && sym.Text() {
			return true
		}
	}
	return false
}

// callsFentry says that code, which stands at address, calls __fentry__.
func (im *Image) callsFentry(s *space, address uint64, code []byte) bool {
	in, err := decode(code)
	if err != nil || code[0] != 0xe8 {
		return false
	}
	to := address + uint64(in.length+in.displacement)
	for _, where := range append([]*space{s, im.vmlinux}, s.needs...) {
		for _, i := range where.symbolsAt(to) {
			if where.symbols[i].Name == "__fentry__" {
				return true
			}
		}
	}
	return false
}

// Near are names of functions of an object that differ little from name, or
// hold it: for a message.
func (im *Image) Near(object, name string) (near []string) {
	s, err := im.space(object)
	if err != nil {
		return nil
	}
	seen := map[string]bool{}
	for _, sym := range s.symbols {
		if len(near) == 5 {
			break
		}
		if sym.Text() && !seen[sym.Name] && strings.Contains(fold(sym.Name), fold(name)) && !strings.HasPrefix(sym.Name, "__pfx_") {
			seen[sym.Name] = true
			near = append(near, sym.Name)
		}
	}
	return near
}

// fold leaves out what is easily mistaken.
func fold(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}
