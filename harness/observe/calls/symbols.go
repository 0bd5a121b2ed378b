// SPDX-License-Identifier: Apache-2.0

package calls

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// symbols are the functions of the kernel and of the modules that we loaded.
type symbols struct {
	sys   string
	image *image
	// files are of modules that were loaded; each is read once something is to
	// be found in it.
	files   map[string]moduleFile
	modules map[string]*module
	// found remembers what lies at addresses outside of the image, until a
	// module comes or goes.
	found map[uint64]place
}

type place struct {
	start uint64
	name  string
}

// mostFound bounds symbols.found.
const mostFound = 4096

// moduleFile is a module's file, by its path or its content.
type moduleFile struct {
	path    string
	content []byte
}

func (f moduleFile) read(name string) (*module, error) {
	if f.content != nil {
		return readModule(name, bytes.NewReader(f.content))
	}
	file, err := os.Open(f.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readModule(name, io.NewSectionReader(file, 0, maxModule))
}

// module is the module of that name, if we know its file and it is there.
func (s *symbols) module(name string) *module {
	if m := s.file(name); m != nil && m.place(s.sys) {
		return m
	}
	return nil
}

// file is the module of that name, if we know its file: it may not be there.
func (s *symbols) file(name string) *module {
	m := s.modules[name]
	if m == nil {
		f, known := s.files[name]
		if !known {
			return nil
		}
		var err error
		if m, err = f.read(name); err != nil {
			m = &module{name: name} // of which nothing is known
		}
		s.modules[name] = m
	}
	return m
}

// forget drops what is known of a module that was unloaded; its file may be
// loaded again.
func (s *symbols) forget(name string) {
	delete(s.modules, name)
	s.changed()
}

// address is where a function of object begins, 0 while it is not there.
func (s *symbols) address(object, name string, sympos uint64) (uint64, error) {
	if object == vmlinux {
		i, err := s.image.lookup(name, sympos)
		if err != nil {
			return 0, err
		}
		return s.image.addresses[i], nil
	}
	m := s.module(object)
	if m == nil {
		return 0, nil
	}
	f := m.lookup(name, sympos)
	switch {
	case f == nil:
		return 0, fmt.Errorf("module %s has no function %s that is the one", object, name)
	case f.absent:
		return 0, fmt.Errorf("where %s of module %s lies is not known", name, object)
	}
	return f.address, nil
}

// addresses are where the functions of that name in a module begin; none while
// it is not there.
func (s *symbols) addresses(module, name string) (all []uint64) {
	if m := s.module(module); m != nil {
		for i := range m.functions {
			if f := &m.functions[i]; f.name == name && !f.absent {
				all = append(all, f.address)
			}
		}
	}
	return all
}

// changed forgets what depends on which modules there are.
func (s *symbols) changed() { clear(s.found) }

// find is where the function that holds address begins, and what it is called:
// "name", or "name [module]".
func (s *symbols) find(address uint64) (start uint64, name string) {
	if i, ok := s.image.find(address); ok {
		return s.image.addresses[i], string(s.image.bytes(i))
	}
	p, known := s.found[address]
	if !known {
		p.start, p.name = s.inModule(address)
		if len(s.found) >= mostFound || s.found == nil {
			s.found = map[uint64]place{}
		}
		s.found[address] = p
	}
	return p.start, p.name
}

// returnHooks are the functions of the image to which a hooked function
// returns.
var returnHooks = []string{"kretprobe_trampoline", "__kretprobe_trampoline", "arch_rethook_trampoline", "return_to_handler"}

// hooked says whether code at address is what a hooked function returns to: one
// of the kernel's trampolines, or one made at run time, of which nobody knows
// a function.
func (s *symbols) hooked(address uint64) bool {
	start, name := s.find(address)
	return start == 0 && name == "" || slices.Contains(returnHooks, name)
}

func (s *symbols) inModule(address uint64) (start uint64, name string) {
	for _, known := range slices.Sorted(maps.Keys(s.files)) { // the same each time
		m := s.module(known)
		if m == nil {
			continue
		}
		f := m.find(address)
		if f == nil {
			continue
		}
		start, name = f.address, f.name+" ["+known+"]"
		// Init code is freed once it has run, and the code of a module that
		// comes later may lie there.
		if !strings.HasPrefix(f.section, ".init.") {
			return start, name
		}
	}
	if name != "" {
		return start, name
	}
	return 0, s.someModule(address)
}

// someModule names the module whose code begins closest before address, of
// those that came with the guest.
func (s *symbols) someModule(address uint64) string {
	best, name := uint64(0), ""
	folders, _ := filepath.Glob(filepath.Join(s.sys, "module/*/sections/.text"))
	for _, f := range folders {
		of := strings.Split(strings.TrimPrefix(f, s.sys), "/")[2]
		if base := sectionAddress(s.sys, of, ".text"); base <= address && base > best {
			best, name = base, of
		}
	}
	if name == "" || address-best >= s.coreSize(name) {
		return ""
	}
	return "[" + name + "]"
}

// coreSize is how many bytes a module takes, from its .text on at the most.
func (s *symbols) coreSize(name string) (n uint64) {
	b, err := os.ReadFile(filepath.Join(s.sys, "module", name, "coresize"))
	if err == nil {
		n, _ = strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	}
	return n
}

// stranger says whether a module is there that somebody else loaded, so that
// where its functions lie is not known.
func (s *symbols) stranger(name string) bool {
	if _, known := s.files[name]; known {
		return false
	}
	_, err := os.Stat(filepath.Join(s.sys, "module", name, "sections"))
	return err == nil
}
