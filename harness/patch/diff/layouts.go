// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/compare"
	"github.com/switchyard-project/switchyard/harness/patch/refusal"
	"github.com/switchyard-project/switchyard/harness/patch/unified"
)

// typesMayChange says whether the debugging information must be looked at: it
// tells the shapes of types, the values of enumerators and what functions
// take, and costs as much time as compiling without.
func typesMayChange(c unified.Changed) bool {
	changed := changedChunks(c.Before, c.After)
	heads := map[string]string{}
	for _, ch := range changed {
		if ch.shapes() {
			return true
		}
		if name, head := ch.function(); name != "" {
			if other, ok := heads[name]; ok && other != head {
				return true
			}
			heads[name] = head
		}
	}
	return false
}

// types refuses what changes types that the running kernel has objects of, and
// exported functions.
func (p *pipeline) types(one pair, exported []string, changed []unified.Changed) error {
	pre, err := readDebugInfo(one.pre.Path)
	if err != nil {
		return fmt.Errorf("%s as it is: %w", one.Source, err)
	}
	post, err := readDebugInfo(one.post.Path)
	if err != nil {
		return fmt.Errorf("%s: %w", one.Source, err)
	}
	for _, l := range pre.Layouts(post) {
		if l.Renamed {
			p.made.Warnings = append(p.made.Warnings, fmt.Sprintf("%s: %s: what the running kernel has in it was written by the old meaning", l.Name, l.What))
			continue
		}
		r := l.Refusal()
		r.File = fromTop(r.File, changed)
		p.fail(r)
	}
	if err := pre.Signatures(post, exported); err != nil {
		for _, r := range refusal.All(err) {
			r.File = fromTop(r.File, changed)
			p.fail(r)
		}
	}
	return nil
}

func readDebugInfo(path string) (*compare.DebugInfo, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return compare.ReadDebugInfo(f, "")
}

// fromTop is a file's name from the top of the source, of those that changed.
func fromTop(file string, changed []unified.Changed) string {
	for _, c := range changed {
		if strings.HasSuffix(file, "/"+c.Name) || file == c.Name {
			return c.Name
		}
	}
	return file
}

// locate gives refusals that know a function the line that it begins at, in
// the file as the diff leaves it.
func locate(all []error, changed []unified.Changed) {
	for _, err := range all {
		for _, r := range refusal.All(err) {
			for _, c := range changed {
				if r.Line > 0 || r.Function == "" {
					break
				}
				if line := lineOf(r.Function, c); line > 0 && (r.File == c.Name || kindOf(c.Name) == header) {
					r.File, r.Line = c.Name, line
				}
			}
		}
	}
}

// lineOf is where a file defines a function, by the name in its source, or by
// the one that SYSCALL_DEFINE makes of it.
func lineOf(function string, c unified.Changed) int {
	text := c.After
	if text == nil {
		text = c.Before
	}
	for _, ch := range chunks(text) {
		if ch.defines(function) {
			found, _ := ch.function()
			return ch.lineOf(found)
		}
	}
	return 0
}

// defines says that a chunk is the definition of a function: of that name in
// the source, or of the one that SYSCALL_DEFINE makes of it.
func (c chunk) defines(function string) bool {
	name, _, _ := strings.Cut(function, ".")
	found, _ := c.function()
	if found == "" || found == name {
		return found != ""
	}
	for _, prefix := range []string{"__do_sys_", "__se_sys_", "__x64_sys_", "__ia32_sys_"} {
		if call, ok := strings.CutPrefix(name, prefix); ok && strings.HasPrefix(found, "SYSCALL_DEFINE") && c.argument() == call {
			return true
		}
	}
	return false
}

// lineMayBeOf says that a line may be a function's __LINE__: it is in its
// definition, or in that of a static function, which may have been taken into
// it.
func lineMayBeOf(function string, text []byte, line int) bool {
	for _, ch := range chunks(text) {
		if len(ch) == 0 || line < ch[0].line || line > ch[len(ch)-1].line {
			continue
		}
		_, head := ch.function()
		if ch.defines(function) || slices.Contains(strings.Fields(head), "static") {
			return true
		}
	}
	return false
}
