// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// NoModuleError says that a kernel has no module of a name, neither as a file
// nor built in.
type NoModuleError struct{ Release, Module string }

func (e *NoModuleError) Error() string {
	return fmt.Sprintf("kernel %s has no module %q", e.Release, e.Module)
}

// ModuleFiles gives the files to load, in this order, to have the modules
// called names and all they depend on, each once; builtin are those of names
// that are part of the kernel image. "-" and "_" in names are the same. A
// name that the kernel does not have at all is a *NoModuleError.
//
// Dependencies are read from the modules themselves: Debian's packages come
// without modules.dep, which depmod makes on the installed system.
func (k *Kit) ModuleFiles(names ...string) (files, builtin []string, err error) {
	paths, err := k.modulePaths()
	if err != nil {
		return nil, nil, err
	}
	inImage, err := k.builtinModules()
	if err != nil {
		return nil, nil, err
	}
	seen := map[string]bool{}
	var visit func(name string) error
	visit = func(name string) error {
		if seen[name] || inImage[name] {
			return nil
		}
		seen[name] = true // before its dependencies: a cycle must end
		path, ok := paths[name]
		if !ok {
			return &NoModuleError{k.Release, name}
		}
		ko, err := ReadModule(path)
		if err != nil {
			return err
		}
		info, err := ModInfo(ko)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		for _, list := range info["depends"] {
			for dep := range strings.SplitSeq(list, ",") {
				if dep == "" {
					continue
				}
				if err := visit(ModuleName(dep)); err != nil {
					return fmt.Errorf("module %s: %w", name, err)
				}
			}
		}
		files = append(files, path)
		return nil
	}
	for _, name := range names {
		n := ModuleName(name)
		if inImage[n] {
			builtin = append(builtin, name)
			continue
		}
		if err := visit(n); err != nil {
			return nil, nil, err
		}
	}
	return files, builtin, nil
}

// ModuleName is the name as the kernel has it: from "/x/virtio-rng.ko.xz" or
// "virtio-rng" to "virtio_rng".
func ModuleName(path string) string {
	name := filepath.Base(path)
	for _, suffix := range moduleSuffixes {
		if short, ok := strings.CutSuffix(name, suffix); ok {
			name = short
			break
		}
	}
	return strings.ReplaceAll(name, "-", "_")
}

// modulePaths finds every module file by its name.
func (k *Kit) modulePaths() (map[string]string, error) {
	paths := map[string]string{}
	if k.ModulesDir == "" {
		return paths, nil
	}
	err := filepath.WalkDir(k.ModulesDir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if IsModuleFile(path) {
			paths[ModuleName(path)] = path
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("modules of kernel %s: %w", k.Release, err)
	}
	return paths, nil
}

// builtinModules are the modules that the image contains, from the list that
// the kernel's build leaves beside the modules.
func (k *Kit) builtinModules() (map[string]bool, error) {
	in := map[string]bool{}
	f, err := os.Open(filepath.Join(k.ModulesDir, "modules.builtin"))
	if errors.Is(err, fs.ErrNotExist) {
		return in, nil
	}
	if err != nil {
		return nil, fmt.Errorf("modules built into kernel %s: %w", k.Release, err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		in[ModuleName(lines.Text())] = true
	}
	return in, lines.Err()
}
