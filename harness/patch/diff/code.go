// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"bytes"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/unified"
)

// token is a piece of C text: a word, a literal, an operator. The end of a
// preprocessor's line is one too, "\n", and so is the space between a macro
// and a parenthesis that is not of its parameters, " (".
type token struct {
	text string
	line int // 1 is the first
}

// tokens takes C text apart, without comments and space. What is no C is
// taken apart somehow: two texts of the same tokens still mean the same.
func tokens(text []byte) (all []token) {
	s := scanner{text: text, line: 1}
	for {
		t, ok := s.next()
		if !ok {
			return all
		}
		all = append(all, t)
	}
}

type scanner struct {
	text      []byte
	at, line  int
	directive int  // how many tokens of a preprocessor's line came, its # too
	defines   bool // in a #define
	fresh     bool // something stood on this line already
}

// operators are those of several characters, the longer before what they begin
// with: a++ + b is not a + ++b.
var operators = []string{"...", "<<=", ">>=", "->", "++", "--", "<<", ">>", "<=", ">=", "==", "!=", "&&", "||",
	"+=", "-=", "*=", "/=", "%=", "&=", "^=", "|=", "##"}

func (s *scanner) byteAt(i int) byte {
	if i < len(s.text) {
		return s.text[i]
	}
	return 0
}

func (s *scanner) next() (token, bool) {
	for s.at < len(s.text) {
		c, d := s.text[s.at], s.byteAt(s.at+1)
		switch {
		case c == '\n':
			s.at++
			s.line++
			s.fresh = false
			if s.directive > 0 {
				s.directive = 0
				return token{"\n", s.line - 1}, true
			}
		case c == '\\' && d == '\n':
			s.at += 2
			s.line++
		case c == ' ' || c == '\t' || c == '\r' || c == '\f' || c == '\v':
			s.at++
		case c == '/' && d == '/':
			for s.at < len(s.text) && s.text[s.at] != '\n' {
				s.at++
			}
		case c == '/' && d == '*':
			s.comment()
		default:
			return s.word(c), true
		}
	}
	return token{}, false
}

func (s *scanner) comment() {
	for s.at += 2; s.at < len(s.text); s.at++ {
		switch {
		case s.text[s.at] == '\n':
			s.line++
		case s.text[s.at] == '*' && s.byteAt(s.at+1) == '/':
			s.at += 2
			return
		}
	}
}

func (s *scanner) word(c byte) token {
	t := token{line: s.line}
	begin := s.at
	if s.directive > 0 || c == '#' && !s.fresh {
		s.directive++
	}
	s.fresh = true
	switch {
	case c == '(' && s.directive == 4 && s.defines && !inWord(s.text[begin-1]):
		s.at++
		t.text = " ("
		return t
	case c == '"' || c == '\'':
		for s.at++; s.at < len(s.text) && s.text[s.at] != c && s.text[s.at] != '\n'; s.at++ {
			if s.text[s.at] == '\\' {
				s.at++
				if s.byteAt(s.at) == '\n' {
					s.line++
				}
			}
		}
		if s.byteAt(s.at) == c {
			s.at++
		}
	case inWord(c):
		for s.at < len(s.text) && inWord(s.text[s.at]) {
			s.at++
		}
	default:
		s.at++
		for _, op := range operators {
			if bytes.HasPrefix(s.text[begin:], []byte(op)) {
				s.at = begin + len(op)
				break
			}
		}
	}
	t.text = string(s.text[begin:min(s.at, len(s.text))])
	if s.directive == 2 {
		s.defines = t.text == "define"
	}
	return t
}

func inWord(c byte) bool {
	return c == '_' || c == '$' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

// sameCode says whether two texts differ in comments and space only.
func sameCode(a, b []byte) bool {
	return slices.EqualFunc(tokens(a), tokens(b), func(x, y token) bool { return x.text == y.text })
}

// chunk is a declaration, a definition or a directive at the top of a file.
type chunk []token

func (c chunk) text() string {
	var words []string
	for _, t := range c {
		words = append(words, t.text)
	}
	return strings.Join(words, " ")
}

// chunks cuts C text at the top level. Where conditional compilation leaves
// braces open, a chunk holds more than one.
func chunks(text []byte) (all []chunk) {
	var now chunk
	depth, function := 0, false
	cut := func() {
		if len(now) > 0 {
			all = append(all, now)
		}
		now, function = nil, false
	}
	toks := tokens(text)
	for i := 0; i < len(toks); i++ {
		t := toks[i]
		if t.text == "#" && depth == 0 && (i == 0 || toks[i-1].text == "\n" || toks[i-1].line < t.line) {
			cut()
			for ; i < len(toks) && toks[i].text != "\n"; i++ {
				now = append(now, toks[i])
			}
			cut()
			continue
		}
		now = append(now, t)
		switch t.text {
		case "{":
			// A function's body follows its parameters, or an annotation in
			// parentheses; a struct's its tag.
			if depth == 0 && i > 0 {
				function = toks[i-1].text == ")"
			}
			depth++
		case "}":
			if depth = max(depth-1, 0); depth == 0 && function {
				cut()
			}
		case ";":
			if depth == 0 {
				cut()
			}
		}
	}
	cut()
	return all
}

// macros are the assembler's in a text, each as a chunk from .macro to .endm.
func macros(text []byte) (all []chunk) {
	if !bytes.Contains(text, []byte(".macro")) {
		return nil
	}
	var now chunk
	toks := tokens(text)
	for i, t := range toks {
		switch {
		case t.text == "macro" && i > 0 && toks[i-1].text == ".":
			now = chunk{{".macro", t.line}}
		case t.text == "endm" && now != nil:
			all, now = append(all, now), nil
		case now != nil:
			now = append(now, t)
		}
	}
	return all
}

// function is the name and the head of a function's definition, "" of what is
// none.
func (c chunk) function() (name, head string) {
	if len(c) == 0 || c[0].text == "#" || c[len(c)-1].text != "}" {
		return "", ""
	}
	for i, t := range c {
		switch {
		case t.text == "=" || t.text == ";":
			return "", ""
		case t.text == "(" && name == "" && i > 0 && c[i-1].text != "__attribute__" && c[i-1].text != ")":
			name = c[i-1].text
		case t.text == "{":
			if name == "" {
				return "", ""
			}
			return name, c[:i].text()
		}
	}
	return "", ""
}

// declares is the name that a function, its prototype or a macro (of C or of the
// assembler) gives a meaning to; "" of what is none of these.
func (c chunk) declares() string {
	if len(c) > 2 && c[0].text == "#" && (c[1].text == "define" || c[1].text == "undef") {
		return c[2].text
	}
	if len(c) > 1 && c[0].text == ".macro" {
		return c[1].text
	}
	if name, _ := c.function(); name != "" {
		return name
	}
	if len(c) == 0 || c[0].text == "#" || c[len(c)-1].text != ";" || c.shapes() {
		return ""
	}
	for i, t := range c {
		switch t.text {
		case "=", "{", "typedef":
			return ""
		case "(":
			if i > 0 && inWord(c[i-1].text[0]) && c[i-1].text != "__attribute__" {
				return c[i-1].text
			}
			return ""
		}
	}
	return ""
}

// argument is the first word in a chunk's first parentheses.
func (c chunk) argument() string {
	for i, t := range c {
		if t.text == "(" && i+1 < len(c) {
			return c[i+1].text
		}
	}
	return ""
}

// lineOf is where a word stands first.
func (c chunk) lineOf(word string) int {
	for _, t := range c {
		if t.text == word {
			return t.line
		}
	}
	return 0
}

// changedChunks are those that only one of two texts has.
func changedChunks(before, after []byte) []chunk {
	gone, come := changedSides(before, after)
	return append(gone, come...)
}

// changedSides are the chunks that only the text before, and that only the
// text after a change has.
func changedSides(before, after []byte) (gone, come []chunk) {
	counts := map[string]int{}
	old, new := chunks(before), chunks(after)
	for _, c := range old {
		counts[c.text()]++
	}
	for _, c := range new {
		if text := c.text(); counts[text] > 0 {
			counts[text]--
		} else {
			come = append(come, c)
		}
	}
	for _, c := range old {
		if text := c.text(); counts[text] > 0 {
			counts[text]--
			gone = append(gone, c)
		}
	}
	return gone, come
}

// shapes says whether a chunk can give a type another shape or a constant
// another value: it defines a type, or is for the preprocessor.
func (c chunk) shapes() bool {
	if len(c) > 0 && c[0].text == "#" {
		return true
	}
	for i, t := range c {
		switch t.text {
		case "typedef":
			return true
		case "struct", "union", "enum":
			for _, next := range c[i+1 : min(i+8, len(c))] {
				if next.text == "{" {
					return true
				}
				if strings.Contains(";=*,)", next.text) { // a variable or a parameter of the type
					break
				}
			}
		}
	}
	return false
}

// touched are the functions of the source that a diff changes, each once;
// without those that a macro such as SYSCALL_DEFINE names.
func touched(changed []unified.Changed) (names []string) {
	for _, c := range changed {
		for _, ch := range changedChunks(c.Before, c.After) {
			if name, _ := ch.function(); name != strings.ToUpper(name) && !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}
