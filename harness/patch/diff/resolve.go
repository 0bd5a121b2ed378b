// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"fmt"
	"path"
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/compare"
	"github.com/switchyard-project/switchyard/harness/patch/klp"
	"github.com/switchyard-project/switchyard/harness/patch/object"
	"github.com/switchyard-project/switchyard/harness/patch/refusal"
	"github.com/switchyard-project/switchyard/harness/patch/runpre"
	"github.com/switchyard-project/switchyard/kernels"
)

// taken is what a live patch has to carry of one unit.
type taken struct {
	pair
	selection *compare.Selection
	report    *runpre.Report
}

// resolver turns what changed in each unit into parts of the module: it says
// which functions of the running kernel are replaced, and what each symbol
// means that the new code needs.
type resolver struct {
	*pipeline
	im      *runpre.Image
	touched []string // functions of the source that the diff changes
	units   []taken
}

// take selects what the patch carries of a unit that changed, and compares
// the unit as it was with the kernel's image. Only an error that is no
// refusal is returned. wanted is as Select has it.
func (r *resolver) take(c compared, wanted []string) (err error) {
	one, d := c.pair, c.difference
	if r.im == nil {
		if r.im, err = r.image(); err != nil {
			return err
		}
	}
	report, err := runpre.Match(c.pre, r.im, one.Object)
	if err != nil {
		if refusal.All(err) == nil {
			return fmt.Errorf("compare %s with the image of %s: %w", one.Source, r.kit.Release, err)
		}
		r.fail(err)
		return nil
	}
	selection, err := compare.Select(c.pre, c.post, d, wanted...)
	if err != nil {
		if refusal.All(err) == nil {
			return fmt.Errorf("%s: %w", one.Source, err)
		}
		d.Inlined(r.touched, refusal.All(err))
		for _, f := range refusal.All(err) {
			if f.File == "" || f.File == path.Base(one.Source) {
				f.File = one.Source
			}
		}
		r.fail(err)
		return nil
	}
	r.units = append(r.units, taken{one, selection, report})
	return nil
}

// defined are the global symbols that the parts define, which other parts may
// mean.
func (r *resolver) defined() map[string]bool {
	all := map[string]bool{}
	for _, u := range r.units {
		for _, s := range u.selection.Object.Symbols {
			if s.Section != nil && s.Name != "" && !local(s) {
				all[s.Name] = true
			}
		}
	}
	return all
}

// parts are the module's.
func (r *resolver) parts() (parts []klp.Part, err error) {
	shared := r.defined()
	for _, u := range r.units {
		part := klp.Part{Object: u.Object, Code: u.selection.Object, Symbols: map[*object.Symbol]klp.Symbol{}}
		for _, name := range u.selection.Patched {
			if f := r.patched(u, name); f != nil {
				part.Functions = append(part.Functions, *f)
			}
		}
		for _, s := range u.selection.Object.Symbols {
			if !s.Undefined() || s.Name == "" && u.selection.Olds[s] == nil {
				continue
			}
			if u.selection.Olds[s] == nil && shared[s.Name] {
				continue
			}
			place, err := r.place(u, s)
			if err != nil {
				return nil, err
			}
			if place != nil {
				part.Symbols[s] = *place
			}
		}
		r.keys(u, part)
		if err := r.constants(u, &part); err != nil {
			return nil, err
		}
		r.list(u, part)
		parts = append(parts, part)
	}
	return parts, nil
}

// keys refuses static keys and static calls that the kernel would look at
// before their owner is there: it does when the patch is loaded.
func (r *resolver) keys(u taken, part klp.Part) {
	for _, k := range u.selection.Keys {
		at, ok := part.Symbols[k.Symbol]
		if !ok || at.Object == klp.VMLinux {
			continue
		}
		code := refusal.StaticKey
		if k.Kind == compare.StaticCall {
			code = refusal.StaticCall
		}
		r.fail(&refusal.Refusal{
			Code: code, File: u.Source, Function: k.Function,
			Text:   fmt.Sprintf("depends on the %s %s of module %s, which need not be there when the patch is loaded", k.Kind, at.Name, at.Object),
			Advice: "read the key's value as data in the changed function (static_key_enabled), or patch its callers",
		})
	}
	for _, name := range u.selection.Kept {
		r.made.Warnings = append(r.made.Warnings, fmt.Sprintf("the address of the new function %s() is stored: what stores it must be gone before the patch is, or the kernel jumps to where it was", name))
	}
	for _, w := range u.selection.Stored {
		r.made.Warnings = append(r.made.Warnings, fmt.Sprintf("%s() stores the address of %s, which is the patch's own: where that is kept, it leads nowhere once the patch is unloaded; store a copy, or clear it from a post_unpatch callback", w.Function, w.What))
	}
}

// patched is a function to be replaced; nil if it cannot be, which is noted.
func (r *resolver) patched(u taken, name string) *klp.Function {
	f := u.report.Function(name)
	checked := CheckedFunction{Object: u.Object, Unit: u.Source, Name: name}
	if f == nil {
		checked.Why = "the source as it is compiles to no such function"
		r.checked = append(r.checked, checked)
		r.fail(&refusal.Refusal{Code: refusal.Mismatch, File: u.Source, Function: name, Text: checked.Why})
		return nil
	}
	checked.Address, checked.Offset, checked.Why = f.Address, f.Offset, f.Why
	r.checked = append(r.checked, checked)
	if err := f.Refusal(u.Source, r.kit.Release); err != nil {
		r.fail(err)
		return nil
	}
	r.made.Memory = append(r.made.Memory, u.report.Expect(name)...)
	return &klp.Function{Old: name, Sympos: u.report.Symbols[f.Symbol].Sympos, New: name}
}

// place says what an undefined symbol of the new code is in the running
// kernel; nil if nothing is known, which is noted, or need be.
func (r *resolver) place(u taken, s *object.Symbol) (*klp.Symbol, error) {
	if old := u.selection.Olds[s]; old != nil {
		at, ok := u.report.Symbols[old]
		if !ok || at.Name == "" {
			r.fail(r.nowhere(u, s, "the kernel's image does not tell where it is"))
			return nil, nil
		}
		return symbolAt(at), nil
	}
	// A name that the object did not define: the kernel's, or that of a module
	// which this one depends on.
	objects := []string{u.Object}
	if u.Object != klp.VMLinux {
		objects = append(objects, klp.VMLinux)
		more, err := r.depends(u.Object)
		if err != nil {
			return nil, err
		}
		objects = append(objects, more...)
	}
	for _, where := range objects {
		all, err := r.im.Lookup(where, s.Name)
		if err != nil {
			return nil, fmt.Errorf("look %s up in %s of %s: %w", s.Name, where, r.kit.Release, err)
		}
		switch len(all) {
		case 0:
			continue
		case 1:
			return symbolAt(all[0]), nil
		}
		for _, at := range all {
			if at.Exported {
				return symbolAt(at), nil
			}
		}
		if at, ok := u.witness(s.Name); ok {
			return symbolAt(at), nil
		}
		f := r.nowhere(u, s, fmt.Sprintf("%s has %d symbols of that name, and nothing tells which one is meant", where, len(all)))
		f.Code = refusal.Ambiguous
		r.fail(f)
		return nil, nil
	}
	if made[s.Name] {
		return nil, nil
	}
	r.fail(r.nowhere(u, s, "no symbol of that name is in the kernel, or in a module that "+u.Object+" needs"))
	return nil, nil
}

// made are symbols that the linker or the loader makes for each module.
var made = map[string]bool{"_GLOBAL_OFFSET_TABLE_": true, "__this_module": true}

// witness is where the unit as it was refers to a global name.
func (u taken) witness(name string) (runpre.Place, bool) {
	for s, at := range u.report.Symbols {
		if s.Name == name && s.Undefined() && at.Name != "" {
			return at, true
		}
	}
	return runpre.Place{}, false
}

func symbolAt(at runpre.Place) *klp.Symbol {
	return &klp.Symbol{Object: at.Object, Name: at.Name, Sympos: at.Sympos, Exported: at.Exported && at.Namespace == ""}
}

func (r *resolver) nowhere(u taken, s *object.Symbol, why string) *refusal.Refusal {
	return &refusal.Refusal{
		Code: refusal.Special, File: u.Source, Text: fmt.Sprintf("the new code refers to %s, and %s", s.Name, why),
		Advice: "do without it, or reach it through something that the kernel has",
	}
}

// depends are the modules that a module needs.
func (r *resolver) depends(module string) (names []string, err error) {
	files, _, err := r.kit.ModuleFiles(module)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		if name := kernels.ModuleName(f); name != module {
			names = append(names, name)
		}
	}
	return names, nil
}

// list puts what a part has into the manifest.
func (r *resolver) list(u taken, part klp.Part) {
	patched := map[string]klp.Function{}
	for _, f := range part.Functions {
		patched[f.New] = f
	}
	for _, s := range part.Code.Symbols {
		switch {
		case s.Section == nil || s.Size == 0:
		case isFunction(s):
			f := Function{Object: u.Object, Unit: u.Source, Name: s.Name, Size: s.Size}
			if p, ok := patched[s.Name]; ok {
				old := u.report.Function(p.Old)
				f.Patched, f.Was, f.Address, f.Sympos = true, old.Symbol.Size, old.Address, p.Sympos
			}
			r.made.Functions = append(r.made.Functions, f)
		case isData(s):
			name, _, _ := strings.Cut(s.Name, ".") // the compiler's number of a static local
			r.made.Data = append(r.made.Data, Data{Object: u.Object, Unit: u.Source, Name: name, Size: s.Size})
		}
	}
}
