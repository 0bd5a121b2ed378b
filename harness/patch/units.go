// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

var (
	kbuildLine    = regexp.MustCompile(`^([\w-]+)\s*[:+]?=\s*(.*)$`)
	kbuildComment = regexp.MustCompile(`#.*`)
)

// units gives the module's name and its C files for a route that does not run
// make. A folder's own Kbuild file is read in its plain form, obj-m and NAME-y
// with nothing but file names; more is refused, since only make knows what it
// means.
func (s *Source) units() (name string, files []string, err error) {
	text, _ := s.kbuild()
	where := "Kbuild"
	if own := s.ownKbuild(); own != "" {
		raw, err := os.ReadFile(filepath.Join(s.Path, own))
		if err != nil {
			return "", nil, &InputError{s.Path, err.Error(), err}
		}
		text, where = string(raw), own
	}
	type assignment struct {
		line int
		text string
		key  string
	}
	var all []assignment
	lists := map[string][]string{}
	for n, line := range strings.Split(strings.ReplaceAll(text, "\\\n", "  "), "\n") {
		line = strings.TrimSpace(kbuildComment.ReplaceAllString(line, ""))
		if line == "" {
			continue
		}
		m := kbuildLine.FindStringSubmatch(line)
		if m == nil || strings.ContainsAny(m[2], "$(){}") {
			return "", nil, s.forMake(where, n+1, line)
		}
		key := m[1]
		if object, ok := strings.CutSuffix(key, "-objs"); ok {
			key = object + "-y"
		}
		lists[key] = append(lists[key], strings.Fields(m[2])...)
		all = append(all, assignment{n + 1, line, key})
	}
	modules := lists["obj-m"]
	if len(modules) != 1 || !strings.HasSuffix(modules[0], ".o") {
		return "", nil, &InputError{s.Path, fmt.Sprintf("its %s makes %d modules; one folder makes one module", where, len(modules)), nil}
	}
	object := strings.TrimSuffix(modules[0], ".o")
	for _, a := range all {
		if a.key != "obj-m" && a.key != object+"-y" {
			return "", nil, s.forMake(where, a.line, a.text)
		}
	}
	parts := lists[object+"-y"]
	if len(parts) == 0 {
		parts = modules
	}
	for _, o := range parts {
		c := strings.TrimSuffix(o, ".o") + ".c"
		if !slices.Contains(s.Files, c) {
			return "", nil, &InputError{s.Path, fmt.Sprintf("%s names %s, and there is no %s (assembly needs a kernel with headers)", where, o, c), nil}
		}
		files = append(files, c)
	}
	return moduleName(object), files, nil
}

// forMake refuses a line of a Kbuild file.
func (s *Source) forMake(file string, line int, text string) error {
	return &InputError{s.Path, fmt.Sprintf("%s:%d: `%s` is for make to read, and without the kernel's headers only lists of files are (obj-m, NAME-y); choose a kernel with headers, or leave %[1]s away: all .c files make one module then", file, line, text), nil}
}
