// SPDX-License-Identifier: Apache-2.0

// Package guard keeps the promise that nothing outlives its process: no
// child, no scratch folder, also after SIGKILL.
//
// A guard is this very program, executed again, waiting on a pipe whose other
// end only its parent holds. When the parent dies, by whatever signal, the
// kernel closes that end, and the guard kills or removes what it was given.
// PR_SET_PDEATHSIG alone would not do: it fires when the *thread* that forked
// ends, and says nothing about folders.
//
// What lives here: re-execution, guarded children, guarded folders. What must
// not: anything that knows what the children do.
package guard

import (
	"fmt"
	"os"
)

// roles are the entry points of the re-executed program by name.
var roles = map[string]func(args []string) int{}

// marker is the first argument of a re-executed program. An argument, and not
// argv[0], because sudo and the dynamic loader drop argv[0].
const marker = "__switchyard_role"

// Register makes name an entry point of the re-executed program: main gets
// the arguments behind the role's name and returns the exit status.
//
// It must be called from a package-level variable or an init function, and
// EnterRole right after it, so that the test binaries of every package that
// imports the caller can play the role as well.
func Register(name string, main func(args []string) int) {
	if _, taken := roles[name]; taken {
		panic("guard: role " + name + " registered twice")
	}
	roles[name] = main
	if len(os.Args) > 2 && os.Args[1] == marker && os.Args[2] == name {
		os.Exit(main(os.Args[3:]))
	}
}

// RoleArgs is the argument list (without the program) that makes Self play
// the role name.
func RoleArgs(name string, args ...string) []string {
	return append([]string{marker, name}, args...)
}

// Self is the path of the running program; it stays valid when the file was
// replaced or removed meanwhile, as `go run` and `go test` do.
func Self() (string, error) {
	if _, err := os.Stat("/proc/self/exe"); err != nil {
		return "", fmt.Errorf("find this program: %w; /proc must be mounted", err)
	}
	return "/proc/self/exe", nil
}
