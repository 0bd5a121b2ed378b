// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"bytes"
	"context"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/tree"
	"github.com/switchyard-project/switchyard/harness/patch/unified"
)

// users are the units that a change of a header can reach. Where only functions
// and macros change, those are the ones that name them, or name something that
// does: of the thousands of files that include a header, a few.
func (p *pipeline) users(ctx context.Context, c unified.Changed) ([]tree.Unit, error) {
	names, ok := affected(c)
	if !ok {
		return p.source.Includers(ctx, c.Name, mostUnits)
	}
	files, err := p.source.Reach(ctx, c.Name)
	if err != nil {
		return nil, err
	}
	texts := map[string][]byte{}
	for _, f := range files {
		if text, err := p.source.Read(f); err == nil { // a generated one is not of the source
			texts[f] = text
		}
	}
	texts[c.Name] = c.After
	return p.source.Including(ctx, c.Name, naming(names, texts), mostUnits)
}

// affected are the names that mean something else after a change; !ok: more
// than names changes.
func affected(c unified.Changed) (names map[string]bool, ok bool) {
	names = map[string]bool{}
	for _, ch := range changedChunks(c.Before, c.After) {
		name := ch.declares()
		if name == "" {
			return nil, false
		}
		names[name] = true
	}
	return names, true
}

// naming gives the .c files that name something affected. A function or macro
// of a header that does so is affected itself; a .c file that others include
// stands for them.
func naming(names map[string]bool, texts map[string][]byte) (sources []string) {
	found := map[string]bool{}
	for grown := true; grown; {
		grown = false
		for f, text := range texts {
			if found[f] || !mentions(text, names) {
				continue
			}
			if strings.HasSuffix(f, ".c") {
				found[f], grown = true, true
				continue
			}
			for _, ch := range chunks(text) {
				name := ch.declares()
				if name != "" && !names[name] && slices.ContainsFunc(ch, func(t token) bool { return names[t.text] }) {
					names[name], grown = true, true
				}
			}
		}
	}
	for f := range maps.Clone(found) {
		base := []byte(path.Base(f) + `"`)
		for other, text := range texts {
			if other != f && strings.HasSuffix(other, ".c") && bytes.Contains(text, base) {
				found[other] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// mentions says whether a text has one of the words.
func mentions(text []byte, words map[string]bool) bool {
	for w := range words {
		for at := 0; ; {
			i := bytes.Index(text[at:], []byte(w))
			if i < 0 {
				break
			}
			begin, end := at+i, at+i+len(w)
			if (begin == 0 || !inWord(text[begin-1])) && (end == len(text) || !inWord(text[end])) {
				return true
			}
			at = end
		}
	}
	return false
}
