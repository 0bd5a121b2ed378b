// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/refusal"
	"github.com/switchyard-project/switchyard/harness/patch/unified"
)

var (
	conditional = regexp.MustCompile(`^\s*#\s*(if|ifdef|ifndef|elif|else|endif)\b(.*)`)
	option      = regexp.MustCompile(`\bCONFIG_\w+`)
)

// hidden is the refusal of a diff that changes only what this kernel's
// configuration leaves out; nil if no condition around the change names an
// option that is not set.
func (p *pipeline) hidden(s sorted) *refusal.Refusal {
	for _, c := range append(slices.Clone(s.sources), s.headers...) {
		for _, line := range addedLines(c) {
			for _, condition := range conditions(c.After, line) {
				for _, name := range option.FindAllString(condition, -1) {
					if p.kit.ConfigValue(name) != "" || p.kit.ConfigValue(name+"_MODULE") != "" {
						continue
					}
					r := p.refuse(refusal.NotBuilt, c.Name, "choose a kernel with "+name, "this kernel is built without it: it stands under \"%s\", and %s is not set", condition, name)
					r.Line = line
					return r
				}
			}
		}
	}
	return nil
}

// addedLines are those that a file did not have before; where there is none
// but some went, the line that follows the first gap.
func addedLines(c unified.Changed) (added []int) {
	kept := map[int]bool{}
	gap := 0
	for line := 1; line <= bytes.Count(c.Before, []byte("\n"))+1; line++ {
		to, ok := c.Moved(line)
		if ok {
			kept[to] = true
		} else if gap == 0 {
			gap = max(line-1, 1)
		}
	}
	for line := 1; line <= bytes.Count(c.After, []byte("\n")); line++ {
		if !kept[line] {
			added = append(added, line)
		}
	}
	if to, ok := c.Moved(gap); len(added) == 0 && ok {
		added = append(added, to)
	}
	return added
}

// conditions are the directives that decide on a line of C text, the outermost
// first.
func conditions(text []byte, line int) (open []string) {
	n := 0
	for l := range bytes.Lines(text) {
		if n++; n >= line {
			break
		}
		m := conditional.FindSubmatch(l)
		if m == nil {
			continue
		}
		words := fmt.Sprintf("#%s", strings.TrimSpace(string(m[1])+string(m[2])))
		switch string(m[1]) {
		case "if", "ifdef", "ifndef":
			open = append(open, words)
		case "elif", "else":
			if len(open) > 0 {
				open[len(open)-1] = words
			}
		case "endif":
			if len(open) > 0 {
				open = open[:len(open)-1]
			}
		}
	}
	return open
}
