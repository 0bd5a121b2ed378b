// SPDX-License-Identifier: Apache-2.0

package debugger

import (
	"debug/elf"
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"al.essio.dev/pkg/shellescape"
)

//go:embed gdb/switchyard.py
var commands []byte

// The files that Write leaves.
const (
	AttachFile   = "attach"
	scriptFile   = "switchyard.gdb"
	commandsFile = "switchyard.py"
)

// Files are their names.
var Files = []string{AttachFile, scriptFile, commandsFile}

// Session is what gdb is told before a person takes over.
type Session struct {
	Symbols string // see Symbols
	// Target is where the guest is: a socket's path or host:port, as gdb's
	// `target remote` takes it.
	Target  string
	Modules []Module
	// GDB is how gdb's command line begins, Env what its environment needs.
	GDB, Env []string
}

// Module is a loaded module whose file is at hand.
type Module struct {
	Path     string
	Sections map[string]uint64 // where each lies; .text must be among them
}

// Write writes a script for gdb and what it needs into dir, and gives the path
// of a program that starts gdb with it: PATH [GDB'S ARGUMENTS].
func (s Session) Write(dir string) (string, error) {
	commandsPath := filepath.Join(dir, commandsFile)
	if err := os.WriteFile(commandsPath, commands, 0o644); err != nil {
		return "", err
	}
	var w strings.Builder
	w.WriteString("set pagination off\nset confirm off\nset python print-stack message\n")
	fmt.Fprintf(&w, "file %s\n", quote(s.Symbols))
	fmt.Fprintf(&w, "target remote %s\n", s.Target)
	for _, m := range s.Modules {
		text, there := m.Sections[".text"]
		if !there {
			continue
		}
		fmt.Fprintf(&w, "add-symbol-file %s %#x", quote(m.Path), text)
		lasting, err := m.lasting()
		if err != nil {
			return "", err
		}
		for _, name := range lasting {
			fmt.Fprintf(&w, " -s %s %#x", name, m.Sections[name])
		}
		w.WriteString("\n")
	}
	fmt.Fprintf(&w, "source %s\n", commandsPath)
	script := filepath.Join(dir, scriptFile)
	if err := os.WriteFile(script, []byte(w.String()), 0o644); err != nil {
		return "", err
	}
	words := append([]string{"env"}, s.Env...)
	line := shellescape.QuoteCommand(append(append(words, s.GDB...), "-q", "-x", script))
	path := filepath.Join(dir, AttachFile)
	return path, os.WriteFile(path, []byte("#!/bin/sh\nexec "+line+" \"$@\"\n"), 0o755)
}

// lasting are the other sections of the file that are in memory for as long as
// the module: what it was initialised with is not.
func (m Module) lasting() (names []string, err error) {
	f, err := elf.Open(m.Path)
	if err != nil {
		return nil, fmt.Errorf("module %s: %w", m.Path, err)
	}
	defer f.Close()
	for _, s := range f.Sections {
		_, there := m.Sections[s.Name]
		if there && s.Flags&elf.SHF_ALLOC != 0 && s.Name != ".text" && !strings.HasPrefix(s.Name, ".init") && !strings.HasPrefix(s.Name, ".exit") {
			names = append(names, s.Name)
		}
	}
	return names, nil
}

// quote makes a file's name one word for gdb's commands that take several.
func quote(path string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(path) + `"`
}
