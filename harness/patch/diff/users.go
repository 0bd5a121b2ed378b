// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"context"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/refusal"
	"github.com/switchyard-project/switchyard/harness/patch/tree"
	"github.com/switchyard-project/switchyard/harness/patch/unified"
)

// users are the units that a change of a header can reach. Where only functions
// and macros change, those are the ones that name them, or name something that
// does: of the thousands of files that include a header, a few.
func (p *pipeline) users(ctx context.Context, c unified.Changed) ([]tree.Unit, error) {
	files, err := p.source.Reach(ctx, c.Name)
	if err != nil {
		return nil, err
	}
	names, ok := affected(c)
	if !ok {
		p.assembled = append(p.assembled, files...)
		return p.source.Includers(ctx, c.Name, mostUnits)
	}
	texts, assembly := map[string][]byte{}, map[string][]byte{}
	for _, f := range files {
		text, err := p.source.Read(f)
		switch {
		case err != nil: // a generated one is not of the source
		case kindOf(f) == assemblyCode:
			assembly[f] = text
		default:
			texts[f] = text
		}
	}
	texts[c.Name] = c.After
	sources := naming(names, texts)
	p.assembled = append(p.assembled, slices.Collect(maps.Keys(thatMention(assembly, names)))...)
	return p.source.Including(ctx, c.Name, sources, mostUnits)
}

// assembly refuses headers whose change makes other code of the kernel's
// assembly: the C files alone would be a part of the change.
func (p *pipeline) assembly(ctx context.Context, s sorted, overlay map[string][]byte) error {
	files, err := p.source.Assembly(ctx, p.assembled)
	if err != nil || len(files) == 0 {
		return err
	}
	before, err := p.source.Preprocess(ctx, files, nil)
	if err != nil {
		return err
	}
	after, err := p.source.Preprocess(ctx, files, overlay)
	if err != nil {
		return err
	}
	var changed []string
	for i, f := range files {
		switch {
		case before[i] == "":
			p.made.Warnings = append(p.made.Warnings, fmt.Sprintf("%s, which is assembly, names what changes in a header, and could not be looked at: it stays as it is", f))
		case before[i] != after[i]:
			changed = append(changed, f)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	names := strings.Join(changed, ", ")
	if n := len(changed); n > 3 {
		names = fmt.Sprintf("%s and %d more", strings.Join(changed[:3], ", "), n-3)
	}
	header := s.headers[0].Name
	if len(s.headers) > 1 {
		header = ""
	}
	p.fail(p.refuse(refusal.Assembly, header, "change the C code that needs it by a macro of its own", "it changes what the kernel's assembly is made from, which cannot be live-patched (%s)", names))
	return nil
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

// plenty is how many files must name what changed before nobody looks for more
// of them: as a rule of thumb one in eight is not of this configuration.
const plenty = 8 * mostUnits

// naming gives the .c files that name something affected. A function or macro
// of a header that does so is affected itself; a .c file that others include
// stands for them.
func naming(names map[string]bool, texts map[string][]byte) []string {
	sources, headers := map[string][]byte{}, map[string][]byte{}
	for f, text := range texts {
		if strings.HasSuffix(f, ".c") {
			sources[f] = text
		} else {
			headers[f] = text
		}
	}
	found := thatMention(sources, names)
	if len(found) <= plenty {
		spread(names, headers)
		found = thatMention(sources, names)
	}
	bases := map[string]bool{}
	for f := range found {
		bases[path.Base(f)] = true
	}
	for f, text := range sources {
		for _, m := range includedSource.FindAllSubmatch(text, -1) {
			if bases[string(m[1])] {
				found[f] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// includedSource is a .c file that another one includes.
var includedSource = regexp.MustCompile(`(?m)^[ \t]*#[ \t]*include[ \t]+"(?:[^"\n]*/)?([^"/\n]+\.c)"`)

func thatMention(texts map[string][]byte, words map[string]bool) map[string]bool {
	found := map[string]bool{}
	for f, text := range texts {
		if mentions(text, words) {
			found[f] = true
		}
	}
	return found
}

// spread adds to names what the headers declare by them, directly or by others.
func spread(names map[string]bool, headers map[string][]byte) {
	declaredBy := map[string][]string{} // by a word, what is declared with it
	for _, text := range headers {
		for _, ch := range append(chunks(text), macros(text)...) {
			name := ch.declares()
			if name == "" {
				continue
			}
			for _, t := range ch {
				if inWord(t.text[0]) {
					declaredBy[t.text] = append(declaredBy[t.text], name)
				}
			}
		}
	}
	for todo := slices.Collect(maps.Keys(names)); len(todo) > 0; todo = todo[1:] {
		for _, name := range declaredBy[todo[0]] {
			if !names[name] {
				names[name] = true
				todo = append(todo, name)
			}
		}
	}
}

// mentions says whether a text has one of the words.
func mentions(text []byte, words map[string]bool) bool {
	for i := 0; i < len(text); i++ {
		if !inWord(text[i]) {
			continue
		}
		begin := i
		for i < len(text) && inWord(text[i]) {
			i++
		}
		if words[string(text[begin:i])] {
			return true
		}
	}
	return false
}
