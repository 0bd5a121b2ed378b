// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"regexp"
	"strings"
)

// What compilers and the kernel's macros do to names. A name that holds a
// number of theirs says nothing about which thing it is: the numbers move when
// an unrelated line is added.
var (
	// clone is gcc's mark of a copy or a part of a function (clone_function_name
	// in gcc/cgraphclones.cc); older ones leave out the number.
	clone = regexp.MustCompile(`\.(cold|constprop|isra|part|lto_priv|llvm|localalias)(\.\d+)?`)
	// uid is the number of a declaration, put behind the name of a static local.
	uid = regexp.MustCompile(`(\.\d+)+$`)
	// counter is __COUNTER__ behind a name made by __UNIQUE_ID and its like;
	// the kernel's BTF_ID and initcall macros make such names too.
	counter  = regexp.MustCompile(`^(__UNIQUE_ID_.*?|__BTF_ID__.*?|__addressable_.*?|_note_)_*\d+$`)
	initcall = regexp.MustCompile(`^(__initcall__kmod_.*?)__\d+_\d+_(.*?)\d*$`)
)

// parent is the function of the source that a symbol of code came from.
func parent(name string) string {
	if i := clone.FindStringIndex(name); i != nil && i[0] > 0 {
		return name[:i[0]]
	}
	return name
}

// cold says that a symbol of code is the unlikely part of another one, and of
// which: the part has no entry of its own and lives and dies with the other.
func cold(name string) (string, bool) {
	i := strings.LastIndex(name, ".cold")
	if i <= 0 || strings.Trim(name[i+len(".cold"):], ".0123456789") != "" {
		return name, false
	}
	return name[:i], true
}

// stem is a name without the numbers that mean nothing. numbered says that
// there were some.
func stem(name string) (string, bool) {
	s := name
	if u := uid.FindStringIndex(s); u != nil && u[0] > 0 {
		s = s[:u[0]]
	}
	if m := initcall.FindStringSubmatch(s); m != nil {
		return m[1] + "__" + m[2], true
	}
	if m := counter.FindStringSubmatch(s); m != nil {
		return m[1], true
	}
	return s, s != name
}

// handling is what becomes of data that the compiler or a macro named.
type handling int

const (
	// kept data has a life of its own: the patch uses the kernel's.
	kept handling = iota
	// copied data is what it holds: the patch brings its own, and two are the
	// same where they hold the same.
	copied
	// own data is registered by the module that holds it: the patch brings
	// its own whatever it holds.
	own
	// ignored data is of no code.
	ignored
)

// byStem has the names that are not the author's, each with the reason.
var byStem = map[string]struct {
	handling
	reason string
}{
	"__func__":            {copied, "the function's name"},
	"__FUNCTION__":        {copied, "the function's name"},
	"__PRETTY_FUNCTION__": {copied, "the function's name"},
	"CSWTCH":              {copied, "gcc's table of a switch statement's values"},
	"C":                   {copied, "gcc's image of an initialised automatic variable"},
	"_entry":              {ignored, "printk index: format, file and line of a printk"},
	"_entry_ptr":          {ignored, "printk index: the list of them"},
	"__already_done":      {kept, "a WARN_ONCE that has warned must not warn again"},
	"__warned":            {kept, "as __already_done, before 5.17"},
	"__key":               {kept, "a lock's class is the address of its key"},
	"_rs":                 {kept, "what a rate limit has let through"},
}

// interchangeable are kept names of which a function may have several, where
// taking one for another of the same function changes at most how often it
// warns or which name a lock has in lockdep.
var interchangeable = map[string]bool{"__already_done": true, "__warned": true, "__key": true, "_rs": true}

// handled gives the handling of a symbol of data in a section.
func handled(name, section string) handling {
	if section == "__dyndbg" || section == "__dyndbg_classes" {
		return own
	}
	if section == ".printk_index" {
		return ignored
	}
	s, numbered := stem(name)
	if h, ok := byStem[s]; ok && (numbered || strings.HasPrefix(s, "__func__")) {
		return h.handling
	}
	return kept
}
