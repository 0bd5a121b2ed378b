// SPDX-License-Identifier: Apache-2.0

// Command tasks is the program that cases run in the guest to get in a
// transition's way, where no command of u-root's and no module can: a task that
// computes, a worker of io_uring, a BPF program on the stack. A file of its own
// has each. What must not live here: checks, which are the cases'.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// tasks are what it can be, by the name of the first argument.
var tasks = map[string]func(args []string) error{
	"compute": compute, // CPU
	"uring":   uring,   // FILE
	"fexit":   fexit,   // FUNCTION FILE
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", filepath.Base(os.Args[0]), err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 || tasks[args[0]] == nil {
		return fmt.Errorf("no such task: %q", strings.Join(args, " "))
	}
	return tasks[args[0]](args[1:])
}

// wants is the error of args that are not as many as there are names.
func wants(args []string, names ...string) error {
	if len(args) != len(names) {
		return fmt.Errorf("want %s", strings.Join(names, " "))
	}
	return nil
}
