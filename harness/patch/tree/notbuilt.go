// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/refusal"
)

// notBuilt is the answer for a file that no object is made of.
type notBuilt struct {
	refusal *refusal.Refusal
	named   bool // a Makefile names it
}

// notBuilt says why no object of the kernel is made of a file: the line of a
// Makefile that would have it, and the option that this line waits for.
func (t *Tree) notBuilt(source string) notBuilt {
	r := &refusal.Refusal{
		Code: refusal.NotBuilt, File: source, Release: t.Kit.Release,
		Text: "this kernel is not built from it", Advice: "leave the file out of the diff, or choose a kernel that is built from it",
	}
	line := t.missing(path.Dir(source), path.Base(objectOf(source)))
	if line == nil {
		r.Text += ", and no Makefile names it"
		return notBuilt{r, false}
	}
	r.Text += fmt.Sprintf(": %s has it in \"%s\"", line.makefile, line.text)
	if line.option != "" {
		r.Text += fmt.Sprintf(", and CONFIG_%s is not set in its configuration", line.option)
		r.Advice = fmt.Sprintf("leave the file out of the diff, or choose a kernel with CONFIG_%s", line.option)
	}
	return notBuilt{r, true}
}

// rule is a line of a Makefile that names an object or a folder.
type rule struct {
	makefile string // "fs/fat/Makefile"
	text     string // "obj-$(CONFIG_VFAT_FS) += vfat.o"
	option   string // the option that is not set, "" if none is to blame
	target   string // what it adds to: "obj", or the object "vfat"
}

// missing finds what keeps an object or a folder ("proc/") out of the kernel:
// the first line that waits for an option which is not set, on the way from the
// file to the top. nil if no line names it.
func (t *Tree) missing(folder, name string) *rule {
	var last *rule
	for range 40 { // no chain of Makefiles is as long
		found := t.rules(folder, name)
		if len(found) == 0 {
			return last
		}
		// Of several lines one is enough to build it.
		i := slices.IndexFunc(found, func(r rule) bool { return r.option == "" })
		if i < 0 {
			return &found[0]
		}
		last = &found[i]
		switch {
		case last.target != "obj":
			name = last.target + ".o"
		case folder == ".":
			return last
		default:
			name = path.Base(folder) + "/"
			folder = path.Dir(folder)
		}
	}
	return last
}

// assignment is a line of a Makefile of kbuild's: what it adds to ("obj", "lib",
// or a composite object), the option or suffix, and the words.
var assignment = regexp.MustCompile(`^\s*([\w-]+?)-(objs|y|m|\$\(CONFIG_(\w+)\)|\$\(subst m,y,\$\(CONFIG_(\w+)\)\))\s*[:+]?=\s*(.*)$`)

// condition opens a part of a Makefile that counts only with an option.
var condition = regexp.MustCompile(`^\s*(ifdef\s+CONFIG_(\w+)|ifeq\s*\(\$\(CONFIG_(\w+)\),\s*[ym]\)|ifneq\s*\(\$\(CONFIG_(\w+)\),\s*\)|ifn?eq\b|ifn?def\b)`)

// rules gives the lines of a folder's Makefile that name an object or folder.
func (t *Tree) rules(folder, name string) (found []rule) {
	for _, file := range []string{"Kbuild", "Makefile"} {
		makefile := path.Join(folder, file)
		text, err := t.Read(makefile)
		if err != nil {
			continue
		}
		var open []string // options of the parts we are in; "" for a part without
		for line := range strings.Lines(strings.ReplaceAll(string(text), "\\\n", " ")) {
			line, _, _ = strings.Cut(strings.TrimRight(line, "\n"), "#")
			if m := condition.FindStringSubmatch(line); m != nil {
				open = append(open, m[2]+m[3]+m[4])
				continue
			}
			if word := strings.TrimSpace(line); len(open) > 0 && word == "endif" {
				open = open[:len(open)-1]
				continue
			} else if len(open) > 0 && strings.HasPrefix(word, "else") {
				open[len(open)-1] = "" // when the option is not set: others may be to blame
				continue
			}
			m := assignment.FindStringSubmatch(line)
			if m == nil || !slices.Contains(strings.Fields(m[5]), name) {
				continue
			}
			r := rule{makefile: makefile, text: strings.Join(strings.Fields(m[1]+"-"+m[2]+" += "+name), " "), target: m[1]}
			if strings.HasSuffix(name, "/") || m[1] == "lib" || m[1] == "core" || m[1] == "drivers" || m[1] == "net" || m[1] == "libs" {
				r.target = "obj"
			}
			for _, option := range append([]string{m[3] + m[4]}, open...) {
				if option != "" && !t.has([]string{option}) {
					r.option = option
					break
				}
			}
			found = append(found, r)
		}
	}
	return found
}
