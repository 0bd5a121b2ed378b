// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// CompileError is the compiler's own complaint about a source, which no kernel
// would change.
type CompileError struct {
	First string // the first error line: "FILE:LINE:COL: error: …"
	Log   string // everything that was printed
}

func (e *CompileError) Error() string { return e.First }

// complaint is one error line of the compiler.
var complaint = regexp.MustCompile(`(?m)^(\S+?):(\d+):(?:\d+:)? (?:fatal )?error: (.*)$`)

// expansion is the note that names where the macro was used.
var expansion = regexp.MustCompile(`(?m)^(\S+?):(\d+):\d+: note: in expansion of macro`)

// included is the line that names who included a header of ours.
var included = regexp.MustCompile(`(?m)from ([^\s:]+):(\d+)[,:]`)

// reason is a kind of complaint that comes from what an image does not tell.
type reason struct {
	complaint *regexp.Regexp // its first group is the name
	explain   func(k *Kernel, name string) string
}

// reasons is looked through from the top.
var reasons = []reason{
	{regexp.MustCompile(`implicit declaration of function '(\w+)'`), (*Kernel).explainFunction},
	{regexp.MustCompile(`'(\w+)' undeclared`), (*Kernel).explainName},
	{regexp.MustCompile(`type defaults to 'int' in declaration of '(\w+)'`), (*Kernel).explainName},
	{regexp.MustCompile(`unknown type name '(\w+)'`), (*Kernel).explainType},
	{regexp.MustCompile(`(?:undefined type|incomplete type|incomplete typedef) '([^']+)'`), (*Kernel).explainType},
	{regexp.MustCompile(`(?:storage size of|parameter \d+ \(?)'?(\w+)'?\)? (?:isn't known|has incomplete type)`), func(k *Kernel, name string) string {
		return name + " is of a type that the image only names: it is not among its types, or only in a module"
	}},
	{regexp.MustCompile(`#error "(.*)"`), func(_ *Kernel, text string) string { return text }},
}

func (k *Kernel) explainFunction(name string) string {
	_, exported := k.Image.Exports[name]
	switch {
	case exported:
		return fmt.Sprintf("%s() is there for modules, but the image does not tell its parameters", name)
	case k.Types.Functions[name]:
		return fmt.Sprintf("%s() is in the image, but not exported to modules", name)
	}
	return fmt.Sprintf("%s() is no function of the image; if it is a macro or an inline function of the kernel's headers, an image does not hold it", name)
}

func (k *Kernel) explainName(name string) string {
	if _, exported := k.Image.Exports[name]; exported {
		return fmt.Sprintf("%s is there for modules, but the image does not tell its type", name)
	}
	return fmt.Sprintf("%s is no constant, type or function of the image; if it is a macro of the kernel's headers, an image does not hold it", name)
}

func (k *Kernel) explainType(name string) string {
	return fmt.Sprintf("%s is not described among the image's types (it may be a module's, a macro's, or unused in the image)", name)
}

// judge makes an error of the compiler's log: a *Refusal if the image's
// silence is to blame, else a *CompileError.
func (k *Kernel) judge(log string, files []File) error {
	failed := &CompileError{Log: log}
	// What comes after the first error may only be its consequence.
	all := complaint.FindAllStringSubmatchIndex(log, 2)
	if len(all) == 0 {
		return failed
	}
	m := all[0]
	file, message := log[m[2]:m[3]], log[m[6]:m[7]]
	line, _ := strconv.Atoi(log[m[4]:m[5]])
	failed.First = log[m[0]:m[1]]
	if !isSource(file, files) {
		// In one of our headers: its user is what the author knows.
		end := len(log)
		if len(all) > 1 {
			end = all[1][0]
		}
		file, line = blame(log[:m[0]], log[m[1]:end], files)
	}
	for _, r := range reasons {
		if found := r.complaint.FindStringSubmatch(message); found != nil {
			return &Refusal{file, line, r.explain(k, found[1])}
		}
	}
	return failed
}

func isSource(name string, files []File) bool {
	for _, f := range files {
		if f.Name == name {
			return true
		}
	}
	return false
}

// blame finds the line of the source that an error in a header of ours comes
// from: a macro's use, noted after the error, or an #include, told before it.
func blame(before, after string, files []File) (string, int) {
	for _, search := range []struct {
		re   *regexp.Regexp
		text string
	}{{expansion, after}, {included, before}} {
		for _, m := range search.re.FindAllStringSubmatch(search.text, -1) {
			if name := strings.TrimPrefix(m[1], "./"); isSource(name, files) {
				line, _ := strconv.Atoi(m[2])
				return name, line
			}
		}
	}
	return "", 0
}

// unresolved refuses what the linked module needs and nobody has: a function
// that the source declared itself.
func (k *Kernel) unresolved(o *object, files []File) *Refusal {
	for _, name := range o.undefined {
		if _, exported := k.Image.Exports[name]; exported || name == "__this_module" {
			continue
		}
		r := &Refusal{What: k.explainFunction(name)}
		word := regexp.MustCompile(`\b` + regexp.QuoteMeta(name) + `\b`)
		for _, f := range files {
			if m := word.FindStringIndex(f.code()); m != nil {
				r.File, r.Line = f.Name, lineOf(f.Text, m[0])
				break
			}
		}
		return r
	}
	return nil
}
