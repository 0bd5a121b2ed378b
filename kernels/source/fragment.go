// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bufio"
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// fragmentFiles are the fragments that can be named; what each is for stands
// at its top.
//
//go:embed fragments/*.config
var fragmentFiles embed.FS

// baseFragment is merged over allnoconfig for every kernel that does not bring
// a whole config of its own.
const baseFragment = "base"

// Fragments are the names that -fragment takes, sorted, without the base.
func Fragments() []string {
	files, err := fs.Glob(fragmentFiles, "fragments/*.config")
	if err != nil {
		panic(err) // a constant pattern
	}
	var names []string
	for _, f := range files {
		if name := strings.TrimSuffix(path.Base(f), ".config"); name != baseFragment {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// fragment is a piece of a kernel's configuration.
type fragment struct {
	name    string // as the user wrote it
	text    []byte
	options []option
}

// option is a line of a config.
type option struct{ name, value string } // value is "n" for one that is not set

var (
	optionLine = regexp.MustCompile(`^(CONFIG_[A-Za-z0-9_]+)=(.+)$`)
	unsetLine  = regexp.MustCompile(`^# (CONFIG_[A-Za-z0-9_]+) is not set$`)
)

// openFragment reads a fragment: one of ours by its name, else a file.
func openFragment(name string) (fragment, error) {
	if !strings.ContainsAny(name, "/.") {
		text, err := fragmentFiles.ReadFile("fragments/" + name + ".config")
		if err == nil {
			return parseFragment(name, text)
		}
		if _, err := os.Stat(name); err != nil {
			return fragment{}, &InputError{"fragment " + name, "there is no such file, and none of ours has that name: " + strings.Join(Fragments(), ", "), err}
		}
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return fragment{}, &InputError{"fragment " + name, "it cannot be read: " + cause(err), err}
	}
	return parseFragment(name, text)
}

func parseFragment(name string, text []byte) (fragment, error) {
	f := fragment{name: name, text: text}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if m := optionLine.FindStringSubmatch(line); m != nil {
			f.options = append(f.options, option{m[1], m[2]})
		} else if m := unsetLine.FindStringSubmatch(line); m != nil {
			f.options = append(f.options, option{m[1], "n"})
		} else if line != "" && line[0] != '#' {
			return f, &InputError{"fragment " + name, fmt.Sprintf("line %d, %q, is no option; write CONFIG_NAME=y, =m or =n", n, line), nil}
		}
	}
	if err := lines.Err(); err != nil {
		return f, &InputError{"fragment " + name, "it is no text: " + err.Error(), err}
	}
	if len(f.options) == 0 {
		return f, &InputError{"fragment " + name, "it sets no option; write CONFIG_NAME=y, =m or =n", nil}
	}
	return f, nil
}

// merged is what several fragments ask for together, the last word of each
// option, sorted by name.
func merged(all []fragment) []option {
	last := map[string]string{}
	for _, f := range all {
		for _, o := range f.options {
			last[o.name] = o.value
		}
	}
	var options []option
	for name, value := range last {
		options = append(options, option{name, value})
	}
	slices.SortFunc(options, func(a, b option) int { return strings.Compare(a.name, b.name) })
	return options
}

// configText writes options as lines of a .config.
func configText(options []option) []byte {
	var b bytes.Buffer
	for _, o := range options {
		if o.value == "n" {
			fmt.Fprintf(&b, "# %s is not set\n", o.name)
		} else {
			fmt.Fprintf(&b, "%s=%s\n", o.name, o.value)
		}
	}
	return b.Bytes()
}

// labelText is what a kernel's name may be. It becomes part of the release,
// which is a folder's name and stands in every module.
var labelText = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$`)

func checkLabel(label string) error {
	if !labelText.MatchString(label) {
		return &InputError{fmt.Sprintf("name %q", label), "a kernel's name is up to 32 letters, digits, dots, dashes and underscores, and begins with a letter or a digit", nil}
	}
	return nil
}

var notInLabel = regexp.MustCompile(`[^A-Za-z0-9._-]+`)

// labelFrom makes a name out of those of files, "" if nothing is left.
func labelFrom(parts ...string) string {
	var words []string
	for _, p := range parts {
		p = strings.TrimSuffix(strings.TrimSuffix(filepath.Base(p), ".config"), ".fragment")
		if p = strings.Trim(notInLabel.ReplaceAllString(p, "-"), "-._"); p != "" {
			words = append(words, p)
		}
	}
	label := strings.Join(words, "-")
	return strings.Trim(label[:min(len(label), 32)], "-._")
}

// cause is err without the operation and the path that the message has
// already.
func cause(err error) string {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err.Error()
	}
	return err.Error()
}
