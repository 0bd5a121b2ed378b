// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/hashicorp/go-multierror"
	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/harness/channel"
)

// modulesList names the modules to load before anything else, a line each:
// path and parameters, in order.
const modulesList = "/etc/switchyard/modules"

func (a *agent) loadModules(list string) error {
	b, err := os.ReadFile(list)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var problems *multierror.Error
	for line := range strings.Lines(string(b)) {
		path, params, _ := strings.Cut(strings.TrimSpace(line), " ")
		if path == "" || path[0] == '#' {
			continue
		}
		if err := loadModule(path, params); err != nil && !errors.Is(err, unix.EEXIST) {
			problems = multierror.Append(problems, err)
		}
		a.calls.There(moduleName(path), path)
	}
	return problems.ErrorOrNil()
}

// loadModule is insmod by finit_module(2). Files are plain: images unpacks
// those of a distribution.
func loadModule(path, params string) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("load module %s: %w", path, err)
	}
	defer unix.Close(fd)
	if err := unix.FinitModule(fd, params, 0); err != nil {
		return fmt.Errorf("load module %s: %w", path, err)
	}
	return nil
}

// insertModule loads a module by its file or its content, between which the
// tracing of calls learns of it.
func (a *agent) insertModule(name, path string, content []byte, params string) error {
	a.calls.Loading(name, path, content)
	err := a.priority.ordinarily(func() error {
		if content != nil {
			return unix.InitModule(content, params)
		}
		return loadModule(path, params)
	})
	if err != nil {
		a.calls.Refused(name)
		return err
	}
	a.calls.Loaded(name)
	return nil
}

// moduleName is what the kernel calls the module in a file.
func moduleName(path string) string {
	return strings.ReplaceAll(strings.TrimSuffix(filepath.Base(path), ".ko"), "-", "_")
}

// removeModule unloads a module.
func (a *agent) removeModule(name string) error {
	err := a.priority.ordinarily(func() error { return unloadModule(name) })
	if err == nil {
		a.calls.Unloaded(name)
	}
	return err
}

func unloadModule(name string) error {
	if err := unix.DeleteModule(name, unix.O_NONBLOCK); err != nil {
		return fmt.Errorf("unload module %s: %w", name, err)
	}
	return nil
}

// listModules reads /proc/modules:
// "name size refcount user1,user2, Live 0xaddress (OEK)".
func listModules() ([]channel.Module, error) {
	b, err := os.ReadFile("/proc/modules")
	if err != nil {
		return nil, err
	}
	return parseModules(string(b)), nil
}

func parseModules(text string) []channel.Module {
	out := []channel.Module{}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 5 {
			continue
		}
		m := channel.Module{Name: f[0], State: f[4]}
		m.Size, _ = strconv.ParseInt(f[1], 10, 64)
		m.RefCount = -1 // "-": built without unloading
		if n, err := strconv.Atoi(f[2]); err == nil {
			m.RefCount = n
		}
		if f[3] != "-" {
			m.UsedBy = strings.FieldsFunc(f[3], func(r rune) bool { return r == ',' })
		}
		if len(f) > 6 {
			m.Taint = strings.Trim(f[6], "()")
		}
		out = append(out, m)
	}
	return out
}
