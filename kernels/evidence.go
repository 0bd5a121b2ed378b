// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Evidence is what one kernel shows, in its image and in a guest booted from
// it, while a live patch of the kernel itself is applied there. It is what the
// claims of the capability table are held to.
type Evidence struct {
	Kit     *Kit
	Image   *Image
	Symbols *Symbols
	// PatchFiles are the files of the applied patch, as paths below
	// /sys/kernel/livepatch/PATCH.
	PatchFiles []string
	// Loaded are the names of the modules that the guest had loaded.
	Loaded []string
	// Log are the lines of the kernel's log.
	Log []string
	// Read reads a file in the guest; List names the entries of a folder.
	// Either is an error if there is no such thing.
	Read func(path string) (string, error)
	List func(path string) ([]string, error)
}

// Hidden is the error for something that a kernel does not show.
type Hidden struct{ Why string }

func (h *Hidden) Error() string { return h.Why }

var errNoBTF = &Hidden{"the image has no BTF that would tell"}

// Finding is what became of one claim of the table.
type Finding struct {
	Capability Capability
	Claim      bool   // what the table says
	Seen       bool   // what was seen; meaningless unless Why is ""
	What       string // what was looked at, and what it said
	Why        string // why nothing could be seen
}

// Differs says whether the table and the kernel contradict each other.
func (f Finding) Differs() bool { return f.Why == "" && f.Claim != f.Seen }

// String is a line for people; where the two contradict each other, it names
// the row with its source, the claim and what was seen.
func (f Finding) String() string {
	says := map[bool]string{true: "has it", false: "has it not"}
	switch {
	case f.Why != "":
		return fmt.Sprintf("%s: the table says that this kernel %s; not looked at: %s", f.Capability, says[f.Claim], f.Why)
	case f.Differs():
		means, source := f.Capability.Means()
		return fmt.Sprintf("%s (%s): the table says that this kernel %s (%s), and it %s: %s", f.Capability, means, says[f.Claim], source, says[f.Seen], f.What)
	}
	return fmt.Sprintf("%s: %s: %s", f.Capability, says[f.Seen], f.What)
}

// Examine holds every row of the table to the evidence, in the table's order.
// The error is for evidence that cannot be read.
func (e *Evidence) Examine() ([]Finding, error) {
	var all []Finding
	var errs []error
	for _, c := range Capabilities() {
		f := Finding{Capability: c, Claim: e.Kit.Can(c)}
		p := probes[c]
		switch {
		case p.cannot != "":
			f.Why = p.cannot
		case !e.Kit.Knows(c):
			f.Why = "this kernel came without a config, by which the table decides"
		default:
			var err error
			f.Seen, f.What, err = p.look(e)
			var hidden *Hidden
			if errors.As(err, &hidden) {
				f.Why = hidden.Why
			} else if err != nil {
				errs = append(errs, fmt.Errorf("%s: %w", c, err))
				continue
			}
		}
		all = append(all, f)
	}
	return all, errors.Join(errs...)
}

// has says whether a file is there in the guest.
func (e *Evidence) has(path string) (bool, string, error) {
	_, err := e.Read(path)
	if err != nil {
		return false, fmt.Sprintf("%s cannot be read: %v", path, err), nil
	}
	return true, path + " is there", nil
}

// linked turns an address of the running kernel into the one in the image.
func (e *Evidence) linked(addr uint64) uint64 {
	// The image's text begins with _text, wherever the kernel was put.
	start := e.Symbols.addrs("_text")
	if len(start) == 0 {
		return addr
	}
	return addr - start[0] + e.Image.textAddr
}

// callers are the functions that call one of the functions called names, each
// once, by the code in the image.
func (e *Evidence) callers(names ...string) []string {
	var targets []uint64
	for _, n := range names {
		for _, a := range e.Symbols.addrs(n) {
			targets = append(targets, e.linked(a))
		}
	}
	if len(targets) == 0 {
		return nil
	}
	slide := e.linked(0)
	var found []string
	for _, at := range e.Image.calls(targets...) {
		if f := e.Symbols.function(at - slide); !slices.Contains(found, f) {
			found = append(found, f)
		}
	}
	slices.Sort(found)
	return found
}

// module says whether the kernel has a module called name, as a file of the
// kit, built in, or loaded.
func (e *Evidence) module(name string) (has bool, where string, err error) {
	if slices.Contains(e.Loaded, ModuleName(name)) {
		return true, "the module " + name + " is loaded", nil
	}
	files, builtin, err := e.Kit.ModuleFiles(name)
	var none *NoModuleError
	switch {
	case errors.As(err, &none):
		return false, "there is no module " + name, nil
	case err != nil:
		return false, "", err
	case len(builtin) > 0:
		return true, "the module " + name + " is built in", nil
	}
	return true, "the module is " + files[len(files)-1], nil
}

func list(names []string) string {
	const most = 6
	if len(names) == 0 {
		return "nothing"
	}
	if len(names) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}
