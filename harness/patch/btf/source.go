// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/switchyard-project/switchyard/kernels"
)

// File is a C or header file of a module's source.
type File struct {
	Name string // relative to the source's folder
	Text string
}

// Refusal says that an image does not tell what a source needs.
type Refusal struct {
	File string // as in File.Name; "" if it is no single file's matter
	Line int
	What string // what is needed, and why the image does not tell
}

// remedy is what to do about any refusal.
const remedy = "choose a kernel with headers (`switchyard kernels list`), or build one from source with `switchyard kernels build`"

func (r *Refusal) Error() string {
	where := ""
	if r.File != "" {
		where = r.File + ": "
		if r.Line > 0 {
			where = fmt.Sprintf("%s:%d: ", r.File, r.Line)
		}
	}
	return where + r.What + "; " + remedy
}

var (
	comment     = regexp.MustCompile(`(?s)/\*.*?\*/|//[^\n]*`)
	quoted      = regexp.MustCompile(`"(?:\\.|[^"\\\n])*"`)
	includeLine = regexp.MustCompile(`(?m)^[ \t]*#[ \t]*include[ \t]*<([^>\n]+)>`)
	configWord  = regexp.MustCompile(`\bCONFIG_[A-Z0-9_]+`)
	tagUse      = regexp.MustCompile(`\b(?:struct|union|enum)\s+(\w+)`)
)

// blank replaces each match by spaces, so that lines and columns stay.
func blank(re *regexp.Regexp, text string) string {
	return re.ReplaceAllStringFunc(text, func(m string) string {
		return strings.Map(func(r rune) rune {
			if r == '\n' {
				return r
			}
			return ' '
		}, m)
	})
}

func lineOf(text string, offset int) int { return 1 + strings.Count(text[:offset], "\n") }

// code is a file's text without comments.
func (f File) code() string { return blank(comment, f.Text) }

// inspect refuses what can be seen without compiling: the compiler's message
// would be about something else, or there would be none.
func (k *Kernel) inspect(f File, kit *kernels.Kit) *Refusal {
	code := f.code()
	for _, m := range includeLine.FindAllStringSubmatchIndex(code, -1) {
		if name := code[m[2]:m[3]]; !hasHeader(name) {
			return &Refusal{f.Name, lineOf(code, m[0]), fmt.Sprintf("<%s>: the image of %s tells types and functions, not macros and inline functions, and this header is not among the few that Switchyard brings for such kernels", name, kit.Release)}
		}
	}
	code = blank(quoted, code)
	if kit.ConfigValue("CONFIG_CC_VERSION_TEXT") == "" { // which each has; a kit from a lone image has a few deduced ones
		if m := configWord.FindStringIndex(code); m != nil {
			return &Refusal{f.Name, lineOf(code, m[0]), fmt.Sprintf("%s: the image of %s does not tell how it was configured", code[m[0]:m[1]], kit.Release)}
		}
	}
	for _, m := range tagUse.FindAllStringSubmatchIndex(code, -1) {
		if name := code[m[2]:m[3]]; k.Types.Twice[name] {
			return &Refusal{f.Name, lineOf(code, m[0]), fmt.Sprintf("%s: the image of %s has several types of that name, and does not tell which header's is meant", code[m[0]:m[1]], kit.Release)}
		}
	}
	return nil
}

// prelude is included before the first line of each source: what the image
// tells of the names that occur.
func (k *Kernel) prelude(files []File, kit *kernels.Kit) (string, error) {
	shims, err := readShims()
	if err != nil {
		return "", err
	}
	words := map[string]bool{}
	own := map[string]bool{} // what the source defines itself
	for _, f := range files {
		code := blank(quoted, f.code())
		for _, w := range identifier.FindAllString(code, -1) {
			words[w] = true
		}
		for _, m := range ownName.FindAllStringSubmatch(code, -1) {
			own[m[1]] = true
		}
	}
	var b strings.Builder
	b.WriteString("#pragma GCC system_header\n")
	for _, q := range shims.questions {
		value := 0
		if k.Types.Answers[q] {
			value = 1
		}
		fmt.Fprintf(&b, "#define %s %d\n", q, value)
	}
	fmt.Fprintf(&b, "#define SWITCHYARD_BUG_ENTRY %s\n#define SWITCHYARD_VERSION_CODE %d\n", k.bugDirectives(), versionCode(kit.Release))
	configMacros(&b, words, kit)
	// Without kernel functions for BPF programs, which bpftool declares too.
	b.WriteString("#define BPF_NO_KFUNC_PROTOTYPES\n#define BPF_NO_PRESERVE_ACCESS_INDEX\n#include <switchyard/types.h>\n")
	var names []string
	for name := range k.Types.Prototypes {
		if (words[name] || shims.words[name]) && !shims.defines[name] && !own[name] {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		b.WriteString(k.Types.Prototypes[name] + "\n")
	}
	b.WriteString("#include <switchyard/base.h>\n")
	return b.String(), nil
}

// versionCode is LINUX_VERSION_CODE of a release, "6.18.5+deb14-cloud-amd64".
func versionCode(release string) (code int) {
	numbers := versionStart.FindStringSubmatch(release)
	for i := range 3 {
		n := 0
		if numbers != nil {
			n, _ = strconv.Atoi(numbers[i+1]) // "" for none
		}
		code = code<<8 + min(n, 255) // as KERNEL_VERSION keeps them
	}
	return code
}

var versionStart = regexp.MustCompile(`^(\d+)\.(\d+)(?:\.(\d+))?`)

// ownName is a static function or variable of the source's own.
var ownName = regexp.MustCompile(`(?m)\bstatic\b[^;{}()=]*?\b(\w+)\s*(?:\(|=|;|\[)`)

// configMacros defines the options that occur in the source as kbuild's
// autoconf.h does.
func configMacros(b *strings.Builder, words map[string]bool, kit *kernels.Kit) {
	for _, word := range append(sortedWords(words, "CONFIG_"), "CONFIG_HZ") {
		option := strings.TrimSuffix(word, "_MODULE")
		switch value := kit.ConfigValue(option); value {
		case "", "n":
		case "y":
			fmt.Fprintf(b, "#define %s 1\n", option)
		case "m":
			fmt.Fprintf(b, "#define %s_MODULE 1\n", option)
		default:
			if _, err := strconv.ParseInt(value, 0, 64); err != nil {
				value = strconv.Quote(value)
			}
			fmt.Fprintf(b, "#define %s %s\n", option, value)
		}
	}
}

func sortedWords(words map[string]bool, prefix string) (all []string) {
	for w := range words {
		if strings.HasPrefix(w, prefix) {
			all = append(all, w)
		}
	}
	slices.Sort(all)
	return all
}
