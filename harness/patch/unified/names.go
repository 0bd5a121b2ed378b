// SPDX-License-Identifier: Apache-2.0

package unified

import (
	"io/fs"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/refusal"
)

var hunkHeader = regexp.MustCompile(`^@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@`)

// wholeNames changes the headers of git's diffs so that the library keeps the
// names in them whole: it drops one level always, which is wrong for
// --no-prefix and for what was made in another folder. The number of lines
// stays, for its messages. shorts are the names that it will have shortened
// all the same: of what has no hunks.
func wholeNames(text string) (whole string, shorts map[string]bool) {
	lines := strings.SplitAfter(text, "\n")
	shorts = map[string]bool{}
	oldLeft, newLeft := 0, 0 // lines of a hunk that are still to come
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		if oldLeft > 0 || newLeft > 0 {
			switch {
			case strings.HasPrefix(line, "-"):
				oldLeft--
			case strings.HasPrefix(line, "+"):
				newLeft--
			case strings.HasPrefix(line, "\\"):
			default:
				oldLeft, newLeft = oldLeft-1, newLeft-1
			}
			continue
		}
		if m := hunkHeader.FindStringSubmatch(line); m != nil {
			oldLeft, newLeft = count(m[1]), count(m[2])
			continue
		}
		if strings.HasPrefix(line, "diff --git ") {
			header := gitHeader(lines[i+1:])
			keepNames(lines[i:i+1+header], shorts)
			i += header
		}
	}
	return strings.Join(lines, ""), shorts
}

func count(digits string) int {
	if digits == "" {
		return 1
	}
	n, err := strconv.Atoi(digits)
	if err != nil || n > Largest {
		return 0 // the library says what is wrong with it
	}
	return n
}

var gitHeaderLine = regexp.MustCompile(`^(?:--- |\+\+\+ |old mode |new mode |deleted file mode |new file mode |copy from |copy to |rename (?:old|new|from|to) |similarity index |dissimilarity index |index )`)

// gitHeader is how many of lines are of the header that a `diff --git` began.
func gitHeader(lines []string) (n int) {
	for n < len(lines) && gitHeaderLine.MatchString(lines[n]) {
		n++
		if strings.HasPrefix(lines[n-1], "+++ ") {
			break
		}
	}
	return n
}

// keepNames changes one header of git's in place.
func keepNames(header []string, shorts map[string]bool) {
	renamed, named := false, false
	for _, line := range header[1:] {
		renamed = renamed || strings.HasPrefix(line, "rename ") || strings.HasPrefix(line, "copy ")
		named = named || strings.HasPrefix(line, "--- ")
	}
	if !renamed && !named {
		// No other place tells the name, of which the library drops a level.
		if _, second, ok := strings.Cut(strings.TrimSpace(header[0]), " b/"); ok {
			shorts[second] = true
		}
		return
	}
	header[0] = "diff --git \n" // the names stand in the lines that follow
	for i, line := range header[1:] {
		mark, name, _ := strings.Cut(line, " ")
		switch {
		case mark != "---" && mark != "+++":
		case renamed: // `rename from` tells it, without git's a/
			header[i+1] = "similarity index 0%\n"
		case strings.HasPrefix(name, "/dev/null"):
		case strings.HasPrefix(name, `"`):
			header[i+1] = mark + ` "level/` + name[1:]
		default:
			header[i+1] = mark + " level/" + name
		}
	}
}

// checkName refuses names that no source file has, above all those that lead
// out of the source.
func checkName(name string) *refusal.Refusal {
	for _, part := range strings.Split(name, "/") {
		if part == ".." {
			return bad("the name %q leads out of the source", name)
		}
	}
	for _, r := range name {
		if r < ' ' || r == 0x7f || r == 0xfffd {
			return bad("the name %q is none of a source file", name)
		}
	}
	return nil
}

// Auto lets Apply find the -p level.
const Auto = -1

// mostLevels is how deep a name may stand for Auto.
const mostLevels = 8

// strip takes n levels from a name, as patch -p does; "" if it has not so
// many. short names lack the first of them.
func strip(name string, n int, short bool) string {
	if name == "" {
		return ""
	}
	if name[0] != '/' {
		name = path.Clean(name)
	}
	if short && n > 0 {
		n--
	}
	for ; n > 0; n-- {
		_, rest, ok := strings.Cut(name, "/")
		if !ok {
			return ""
		}
		name = strings.TrimLeft(rest, "/")
	}
	if name = path.Clean(name); !fs.ValidPath(name) || name == "." {
		return ""
	}
	return name
}

// level finds the -p level: the one by which the most of the files that must
// be there are; of equal ones git's, 1, then the smallest.
func (d *Diff) level(there func(string) bool) int {
	best, bestCount := 1, -1
	for _, n := range []int{1, 0, 2, 3, 4, 5, 6, 7, mostLevels} {
		found := 0
		for _, f := range d.files {
			if name := strip(f.old, n, f.short); f.old != "" && name != "" && there(name) {
				found++
				continue
			}
			// What is new says something by the folder it goes to.
			if dir := folder(strip(f.new, n, f.short)); f.old == "" && dir != "" && (there(dir+"/Makefile") || there(dir+"/Kconfig")) {
				found++
			}
		}
		if found > bestCount {
			best, bestCount = n, found
		}
	}
	return best
}

func folder(name string) string {
	if i := strings.LastIndexByte(name, '/'); i > 0 {
		return name[:i]
	}
	return ""
}
