// SPDX-License-Identifier: Apache-2.0

// Package refusal holds the one type that says why a diff cannot be made a
// live patch: for people as a sentence, for programs as a code.
//
// What lives here: the type and its codes. What must not: any judgement; who
// refuses knows why.
package refusal

import (
	"fmt"
	"strings"
)

// Code is the reason for programs. The values are part of report.json and
// never change.
type Code string

const (
	AlreadyApplied Code = "already-applied" // the source holds the change
	HunkFailed     Code = "hunk-failed"     // the diff does not fit the source
	BadDiff        Code = "bad-diff"        // not a unified diff, or a hostile one
	NoEffect       Code = "no-effect"       // nothing that is built changes
	NotBuilt       Code = "not-built"       // this kernel's configuration leaves the file out
	NotCode        Code = "not-code"        // Kconfig, Makefiles, documentation
	BuildFailed    Code = "build-failed"    // the changed source does not compile
	Layout         Code = "layout"          // a struct, union or enum has another shape
	Data           Code = "data"            // initialised data changed
	Signature      Code = "signature"       // an exported function has other parameters
	StackArguments Code = "stack-arguments" // may get arguments on the stack, so it cannot be timed
	Exports        Code = "exports"         // the set of exported symbols changed
	NoFentry       Code = "no-fentry"       // nothing can be hooked in: no call of __fentry__
	NoTrace        Code = "notrace"         // the source forbids tracing of the function
	Inlined        Code = "inlined"         // no copy of the function stands alone, and no caller can be patched
	InitExit       Code = "init-exit"       // __init or __exit code
	Assembly       Code = "assembly"        // assembly source
	VDSO           Code = "vdso"            // runs in user space
	StaticKey      Code = "static-key"      // a jump label whose key is not there when the patch is loaded
	StaticCall     Code = "static-call"     // a static call whose key is not there when the patch is loaded
	Special        Code = "special"         // another table the kernel fixes up and a live patch cannot carry
	TooMany        Code = "too-many"        // a header's change reaches more units than the limit
	Mismatch       Code = "run-pre"         // the kernel was not built from this source, or not so
	Ambiguous      Code = "ambiguous"       // which of several symbols of one name is meant cannot be told
)

// Refusal says that a change cannot be a live patch, or not by this way. The
// command exits with status 2 on it; report.json has verdict "refused".
type Refusal struct {
	Code     Code   `json:"code"`
	File     string `json:"file,omitempty"`     // in the kernel's source
	Line     int    `json:"line,omitempty"`     // 1 is the first; 0: not of a line
	Function string `json:"function,omitempty"` // symbol, without parentheses
	Release  string `json:"release,omitempty"`  // of the kernel; "": of none in particular
	Text     string `json:"text"`               // what is wrong; a clause without its subject's place
	Advice   string `json:"advice,omitempty"`   // what the author can do
}

// Error is the whole sentence: place, function, what is wrong, what to do.
func (r *Refusal) Error() string {
	var s strings.Builder
	if r.File != "" {
		s.WriteString(r.File)
		if r.Line > 0 {
			fmt.Fprintf(&s, ":%d", r.Line)
		}
		s.WriteString(": ")
	}
	if r.Function != "" {
		s.WriteString(r.Function + "(): ")
	}
	s.WriteString(r.Text)
	if r.Release != "" {
		s.WriteString(" (" + r.Release + ")")
	}
	if r.Advice != "" {
		s.WriteString("; " + r.Advice)
	}
	return s.String()
}

// All are the refusals in err, in order: it may be one, several through
// go-multierror, or either wrapped.
func All(err error) (all []*Refusal) {
	switch e := err.(type) {
	case nil:
		return nil
	case *Refusal:
		return []*Refusal{e}
	case interface{ WrappedErrors() []error }:
		for _, one := range e.WrappedErrors() {
			all = append(all, All(one)...)
		}
		return all
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			all = append(all, All(one)...)
		}
		return all
	case interface{ Unwrap() error }:
		return All(e.Unwrap())
	}
	return nil
}
