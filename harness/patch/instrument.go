// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/hashicorp/go-multierror"

	"github.com/switchyard-project/switchyard/harness/patch/btf"
	"github.com/switchyard-project/switchyard/harness/patch/refusal"
	"github.com/switchyard-project/switchyard/harness/patch/runpre"
	"github.com/switchyard-project/switchyard/kernels"
)

// instrument is what a source of kind Instrument asks for.
type instrument struct {
	what      btf.Instrument
	functions []Function
}

// InstrumentPath is the name of a source that measures functions, as Open
// takes it: "count:vfs_read,ext4:ext4_sync_file,helper/2".
func InstrumentPath(what btf.Instrument, functions []string) string {
	return string(what) + ":" + strings.Join(functions, ",")
}

// IsInstrument says whether Open takes path for such a name, whatever files
// there are.
func IsInstrument(path string) bool {
	s, err := openInstrument(path)
	return s != nil && err == nil
}

// functionName is one function in it.
var functionName = regexp.MustCompile(`^(?:([\w-]+):)?([A-Za-z_][\w.$]*)(?:/([1-9]\d{0,4}))?$`)

// openInstrument reads such a name; nil if path is none.
func openInstrument(path string) (*Source, error) {
	word, list, ok := strings.Cut(path, ":")
	what := btf.Instrument(word)
	if !ok || what != btf.Count && what != btf.Time {
		return nil, nil
	}
	i := &instrument{what: what}
	for _, text := range strings.Split(list, ",") {
		m := functionName.FindStringSubmatch(text)
		if m == nil {
			return nil, &InputError{path, fmt.Sprintf("%q is no function: write NAME, MODULE:NAME, or NAME/2 for the second of that name", text), nil}
		}
		f := Function{Object: runpre.VMLinux, Name: m[2]}
		if m[1] != "" {
			f.Object = strings.ReplaceAll(m[1], "-", "_")
		}
		f.Sympos, _ = strconv.ParseUint(m[3], 10, 64)
		if slices.Contains(i.functions, f) {
			return nil, &InputError{path, fmt.Sprintf("%s is named twice", text), nil}
		}
		i.functions = append(i.functions, f)
	}
	if len(i.functions) > btf.MostInstrumented {
		return nil, &InputError{path, fmt.Sprintf("%d functions; one module measures %d at most", len(i.functions), btf.MostInstrumented), nil}
	}
	// The tables group functions by object.
	slices.SortStableFunc(i.functions, func(a, b Function) int { return i.rank(a.Object) - i.rank(b.Object) })
	return &Source{Path: path, Kind: Instrument, Name: i.name(), instrument: i}, nil
}

// rank is the place of an object's first function.
func (i *instrument) rank(object string) int {
	return slices.IndexFunc(i.functions, func(f Function) bool { return f.Object == object })
}

// name is the module's.
func (i *instrument) name() string {
	name := moduleName(fmt.Sprintf("%s_%s", i.what, i.functions[0].Name))
	name = name[:min(len(name), 40)]
	if more := len(i.functions) - 1; more > 0 {
		name += fmt.Sprintf("_and_%d", more)
	}
	return name
}

// String names the functions as a user does.
func (i *instrument) String() string {
	var all []string
	for _, f := range i.functions {
		all = append(all, f.String())
	}
	return fmt.Sprintf("%s:%s", i.what, strings.Join(all, ","))
}

// String is the function as a user names it.
func (f Function) String() string {
	name := f.Name
	if f.Object != runpre.VMLinux {
		name = f.Object + ":" + name
	}
	if f.Sympos > 0 {
		name += fmt.Sprintf("/%d", f.Sympos)
	}
	return name
}

// instrumentWay builds the module from the image alone, whatever else there
// is of the kernel.
func (b *Builder) instrumentWay(ctx context.Context, s *Source, kit *kernels.Kit) (way, error) {
	if !kit.Can(kernels.Livepatch) {
		return way{}, &InputError{s.Path, fmt.Sprintf("%s cannot be live patched, so nothing can be measured in it", kit.Release), nil}
	}
	kernel, err := btf.Open(ctx, b.Store, b.Root, kit)
	if errors.Is(err, btf.ErrNoTypes) {
		return way{}, &InputError{s.Path, fmt.Sprintf("%s: %v, which are needed to build anything without its headers; choose a kernel that describes its types (`switchyard kernels list`)", kit.Release, err), err}
	}
	if err != nil {
		return way{}, err
	}
	return way{RouteBTF, fmt.Sprintf("instrument v2\n%s\n%v", kernel.Key, s.instrument), func(ctx context.Context, out string) error {
		all, err := s.instrument.find(kit)
		if err != nil {
			return err
		}
		built, err := kernel.Measure(ctx, b.Store, b.Root, kit, s.instrument.what, s.Name, all, filepath.Join(out, s.Name+".ko"))
		if err != nil {
			return fmt.Errorf("build %s for %s: %w", s.Path, kit.Release, err)
		}
		return writeWarnings(out, warnings(kit, built))
	}}, nil
}

// find looks for all functions in the kernel. Errors: *InputError for a name
// that is not there, *refusal.Refusal for a function that cannot be measured,
// all of them through go-multierror.
func (i *instrument) find(kit *kernels.Kit) ([]btf.Instrumented, error) {
	im, err := runpre.OpenImage(kit)
	if err != nil {
		return nil, err
	}
	var all []btf.Instrumented
	var wrong *multierror.Error
	for _, f := range i.functions {
		one, err := i.findOne(im, kit, f)
		wrong = multierror.Append(wrong, err)
		all = append(all, one)
	}
	if len(wrong.Errors) == 1 {
		return nil, wrong.Errors[0]
	}
	return all, wrong.ErrorOrNil()
}

func (i *instrument) findOne(im *runpre.Image, kit *kernels.Kit, f Function) (one btf.Instrumented, err error) {
	places, err := im.Lookup(f.Object, f.Name)
	if err != nil {
		return one, &InputError{f.String(), err.Error(), err}
	}
	if len(places) == 0 {
		text := fmt.Sprintf("%s of %s has no function %s", f.Object, kit.Release, f.Name)
		if near := im.Near(f.Object, f.Name); len(near) > 0 {
			text += "; it has " + strings.Join(near, ", ")
		} else {
			text += "; is it inlined everywhere, or not in this configuration?"
		}
		return one, &InputError{f.String(), text, nil}
	}
	at := 0
	switch {
	case f.Sympos > uint64(len(places)):
		return one, &InputError{f.String(), fmt.Sprintf("%s of %s has %d symbols of that name", f.Object, kit.Release, len(places)), nil}
	case f.Sympos > 0:
		at = int(f.Sympos) - 1
	case len(places) > 1:
		return one, &refusal.Refusal{
			Code: refusal.Ambiguous, Function: f.Name, Release: kit.Release,
			Text:   fmt.Sprintf("%s has %d symbols of that name", f.Object, len(places)),
			Advice: fmt.Sprintf("say which one is meant, %s/1 to %s/%d in order of their addresses", f, f, len(places)),
		}
	}
	body, err := im.Body(places[at])
	if err != nil {
		return one, err
	}
	if i.what == btf.Time {
		if err := registersOnly(kit, f); err != nil {
			return one, err
		}
	}
	return btf.Instrumented{Object: f.Object, Name: f.Name, Sympos: places[at].Sympos, Body: body}, nil
}

// registersOnly refuses a function that may have arguments on the stack: the
// frame of the stub would be between them and the function.
func registersOnly(kit *kernels.Kit, f Function) error {
	var module []byte
	if f.Object != runpre.VMLinux {
		files, _, err := kit.ModuleFiles(f.Object)
		if err != nil {
			return err
		}
		if module, err = kernels.ReadModule(files[len(files)-1]); err != nil {
			return err
		}
	}
	spec, err := btf.LoadTypes(kit, module)
	if err != nil {
		return err
	}
	if why := btf.OnlyRegisters(spec, f.Name); why != "" {
		return &refusal.Refusal{
			Code: refusal.StackArguments, Function: f.Name, Release: kit.Release, Text: "it cannot be timed: " + why,
			Advice: "count its calls instead (`switchyard patch count`), or time a function that calls it",
		}
	}
	return nil
}
