// SPDX-License-Identifier: Apache-2.0

package source

import "fmt"

// InputError says that a kernel cannot be built from what the user gave. The
// command exits with status 2 on it.
type InputError struct {
	What   string // the file, folder, option or name that is wrong
	Reason string // what is wrong with it and what would be right
	Err    error  // what was seen; may be nil
}

func (e *InputError) Error() string { return e.What + ": " + e.Reason }

func (e *InputError) Unwrap() error { return e.Err }

// BuildError is a tree that the compiler, or another tool of the build, does
// not take. The command exits with status 2 on it.
type BuildError struct {
	Kernel string // "6.6.3+label"
	Tree   string // where the sources are from, as the user named it
	First  string // the first line that tells what is wrong: "fs/namei.c:12:3: error: …"
	Log    string // the file that everything make printed is kept in
}

func (e *BuildError) Error() string {
	return fmt.Sprintf("kernel %s from %s does not build: %s (the whole log is in %s)", e.Kernel, e.Tree, e.First, e.Log)
}
