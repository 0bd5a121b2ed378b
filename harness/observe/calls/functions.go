// SPDX-License-Identifier: Apache-2.0

package calls

import (
	"fmt"
	"slices"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// function is a patched function whose calls are to be seen.
type function struct {
	observe.TracedFunction
	patches []replacement
	filter  []string // the words that select it
	unseen  string   // why its calls are not all seen
	told    bool     // of that
}

type replacement struct{ patch, name string }

// traced says whether a function's calls are being seen.
func (t *Tracer) traced(i int) bool { return t.functions[i].unseen == "" }

// concerns says whether a module patches any of the functions, or holds one.
func (t *Tracer) concerns(module string) bool {
	return slices.ContainsFunc(t.functions, func(f function) bool {
		return f.Object == module || slices.ContainsFunc(f.patches, func(r replacement) bool { return r.patch == module })
	})
}

func (f *function) key() string { return f.Object + ":" + f.Name }

// add takes a function of a patch in, and gives the words that select it if it
// is not traced yet.
func (t *Tracer) add(patch string, f observe.TracedFunction) (words []string) {
	r := replacement{patch, f.New}
	for i := range t.functions {
		if old := &t.functions[i]; old.Object == f.Object && old.Name == f.Name && old.Sympos == f.Sympos {
			old.patches = append(slices.DeleteFunc(old.patches, func(o replacement) bool { return o.patch == patch }), r)
			return nil
		}
	}
	one := function{TracedFunction: f, patches: []replacement{r}}
	one.New = ""
	switch {
	case f.Object != vmlinux:
		one.filter = []string{f.Name + ":mod:" + f.Object}
	default:
		one.filter = []string{f.Name}
		if i, err := t.symbols.image.lookup(f.Name, f.Sympos); err != nil {
			one.unseen = err.Error()
		} else if n := t.symbols.image.indices[i]; n > 0 {
			one.filter = []string{fmt.Sprint(n)}
		}
	}
	if f.New == "" {
		one.unseen = "what replaces it is not known"
	}
	t.functions = append(t.functions, one)
	return one.filter
}

// mostSites bounds the words for a patch's replacements.
const mostSites = 256

// expected are the words that select what is to be traced of a module that is
// about to be loaded: the kernel forgot those of one that was unloaded. Of a
// patch these are all its functions, by the numbers they will have in
// available_filter_functions, where a new module's come last (kernel/trace/
// ftrace.c, ftrace_process_locs, add_rec_by_index). By a name or a pattern they
// could be selected, too: for which the kernel looks up the names of all the
// functions that it has, while the module is being inserted and without letting
// go of the CPU (match_records); 270 ms of a TCG guest's time on 6.1.
func (t *Tracer) expected(name string) (words []string) {
	var replacements []string // that are to be seen
	patches, all := false, true
	for i := range t.functions {
		f := &t.functions[i]
		if f.Object == name && f.unseen == "" {
			words = append(words, f.filter...)
		}
		for _, r := range f.patches {
			if r.patch != name {
				continue
			}
			patches = true
			if f.unseen == "" {
				replacements = append(replacements, r.name+":mod:"+name)
			} else {
				all = false // it may have been given up for its many calls
			}
		}
	}
	switch {
	case !patches:
		return words
	case !all:
		return append(words, replacements...)
	}
	there, known := t.instance.sites()
	m := t.symbols.file(name)
	if !known || m == nil || m.sites == 0 || m.sites > mostSites {
		return append(words, "*:mod:"+name)
	}
	for n := range m.sites {
		words = append(words, fmt.Sprintf("%d:mod:%s", there+n+1, name))
	}
	return words
}

// byName has those traced by their names whose numbers the kernel took for
// something else, and says whether there were any.
func (t *Tracer) byName(traced map[string]bool) error {
	var words []string
	for i := range t.functions {
		if f := &t.functions[i]; f.Object == vmlinux && f.unseen == "" && !traced[f.Name] && f.filter[0] != f.Name {
			f.filter = []string{f.Name}
			words = append(words, f.Name)
		}
	}
	return t.instance.filter(words...)
}

// verify finds the functions whose calls cannot be seen, of the image and the
// modules named, and tells of them.
func (t *Tracer) verify(loaded ...string) error {
	traced, err := t.instance.filtered()
	if err != nil {
		return err
	}
	for i := range t.functions {
		f := &t.functions[i]
		if f.unseen == "" {
			f.unseen = f.missing(traced, loaded)
		}
	}
	t.findStrangers()
	return nil
}

// findStrangers tells of the functions that lie in modules which somebody else
// loaded, and of the others whose calls cannot be seen, each once.
func (t *Tracer) findStrangers() {
	unseen := map[string]string{}
	for i := range t.functions {
		f := &t.functions[i]
		if f.unseen == "" && f.Object != vmlinux && t.symbols.stranger(f.Object) {
			f.unseen = "its module was loaded by somebody else in the guest, so where it lies is not known"
		}
		if f.unseen != "" && !f.told {
			f.told = true
			unseen[f.key()] = f.unseen
		}
	}
	if len(unseen) > 0 {
		t.tellUnseen(unseen)
	}
}

func (t *Tracer) tellUnseen(unseen map[string]string) {
	t.emit(observe.Event{T: now(), Kind: observe.KindTracing, Tracing: &observe.Tracing{
		TracedPatch: observe.TracedPatch{Functions: []observe.TracedFunction{}}, Unseen: unseen,
	}})
}

// missing says why f's calls cannot all be seen, by what is traced.
func (f *function) missing(traced map[string]bool, loaded []string) string {
	old := f.Name
	if f.Object != vmlinux {
		old += " [" + f.Object + "]"
	}
	if slices.Contains(loaded, f.Object) && !traced[old] {
		return "it has no fentry site, or ftrace may not trace it"
	}
	for _, r := range f.patches {
		if slices.Contains(loaded, r.patch) && !traced[r.name+" ["+r.patch+"]"] {
			return fmt.Sprintf("its replacement %s in %s has no fentry site, so that its calls look like old ones", r.name, r.patch)
		}
	}
	return ""
}

// find learns where the functions lie whose modules are loaded by now.
func (t *Tracer) find() {
	t.unplaced = false
	t.symbols.changed()
	found := len(t.targets)
	for i := range t.functions {
		f := &t.functions[i]
		if address, err := t.symbols.address(f.Object, f.Name, f.Sympos); err == nil && address != 0 {
			t.targets[address] = target{functions: []int{i}}
		} else {
			t.unplaced = true
		}
		for _, r := range f.patches {
			all := t.symbols.addresses(r.patch, r.name)
			for _, address := range all {
				of := t.targets[address]
				if !slices.Contains(of.functions, i) {
					t.targets[address] = target{functions: append(of.functions, i), fresh: true, version: r.patch}
				}
			}
			t.unplaced = t.unplaced || len(all) == 0
		}
	}
	if len(t.targets) != found {
		clear(t.entries)
	}
}

// entry is what the traced address ip is the entry of. The fentry site lies
// some bytes behind the function's start.
func (t *Tracer) entry(ip uint64) target {
	if e, known := t.entries[ip]; known {
		return e
	}
	start, _ := t.symbols.find(ip)
	of, known := t.targets[start]
	if !known && t.unplaced {
		t.find()
		start, _ = t.symbols.find(ip)
		of = t.targets[start]
	}
	t.entries[ip] = of
	return of
}
