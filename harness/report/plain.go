// SPDX-License-Identifier: Apache-2.0

package report

import (
	"io"
	"strings"
	"unicode"
)

// Plain is w for text in which a guest's or a stranger's words stand: what would
// draw on a terminal, hide or turn round what stands there (control characters,
// marks of direction, bytes that are no UTF-8) becomes visible. Newlines and tabs
// stay. Each Write is to be of whole characters.
func Plain(w io.Writer) io.Writer {
	if _, done := w.(plainWriter); done {
		return w
	}
	return plainWriter{w}
}

type plainWriter struct{ to io.Writer }

func (p plainWriter) Write(text []byte) (int, error) {
	if _, err := io.WriteString(p.to, Lines(string(text))); err != nil {
		return 0, err
	}
	return len(text), nil
}

// Lines is text as Plain writes it.
func Lines(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' {
			return r
		}
		return visible(r)
	}, text)
}

// OneLine is text as Plain writes it, on one line: for what is to stand in the
// midst of our own words, as task names and log lines are.
func OneLine(text string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r == '\r' {
			return ' '
		}
		return visible(r)
	}, text)
}

func oneLine(text string) string { return OneLine(text) }

func visible(r rune) rune {
	if unicode.IsGraphic(r) {
		return r
	}
	return unicode.ReplacementChar
}
