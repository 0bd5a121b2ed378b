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
}

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
func (s *symbols) forget(name string) { delete(s.modules, name) }

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

// find is where the function that holds address begins, and what it is called:
// "name", or "name [module]".
func (s *symbols) find(address uint64) (start uint64, name string) {
	if i, ok := s.image.find(address); ok {
		return s.image.addresses[i], string(s.image.bytes(i))
	}
	for _, known := range slices.Sorted(maps.Keys(s.files)) { // the same each time
		m := s.module(known)
		if m == nil {
			continue
		}
		if f := m.find(address); f != nil {
			return f.address, f.name + " [" + known + "]"
		}
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
	if name == "" || address-best > 16<<20 {
		return ""
	}
	return "[" + name + "]"
}
