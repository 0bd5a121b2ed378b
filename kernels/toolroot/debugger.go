// SPDX-License-Identifier: Apache-2.0

package toolroot

import (
	"context"
	"path/filepath"

	"github.com/switchyard-project/switchyard/kernels/debian"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// debuggerPart is a gdb that knows Python, for machines without one, and drgn.
// Nothing is fetched of it before somebody debugs.
var debuggerPart = recipe{
	name: "debugger",
	want: []choice{
		{"gdb", "the debugger"},
		{"libpython3-stdlib", "what Python's own modules are in"},
		{"python3-drgn", "opens memory dumps"},
	},
	without: []choice{
		{"dpkg", "asked for by packages' scripts, which do not run"},
		{"debconf", "as dpkg"},
		{"ucf", "as dpkg"},
		{"init-system-helpers", "services, of which there are none"},
		{"procps", "as init-system-helpers"},
		{"media-types", "a module of Python's that nothing here uses"},
		{"netbase", "as media-types"},
		{"tzdata", "as media-types"},
		{"openssl-provider-legacy", "outdated ciphers"},
		{"libsasl2-modules-db", "passwords for directories"},
	},
}

// Debugger is the tool root's programs to look into a kernel with, run through
// its own dynamic loader without entering it.
type Debugger struct {
	// GDB and Drgn are how the command lines begin.
	GDB, Drgn []string
	// Env is what they need beside the host's environment.
	Env []string
}

// OpenDebugger gives the debuggers, fetching them (about 32 MB) once. Errors:
// *kernels.Lacking without a network.
func OpenDebugger(ctx context.Context, st *store.Store, ar *debian.Archive) (Debugger, error) {
	r, err := open(ctx, st, ar, debuggerPart)
	if err != nil {
		return Debugger{}, err
	}
	in := func(path string) string { return filepath.Join(r.Dir, path) }
	program := func(words ...string) []string {
		return append([]string{in("usr/lib64/ld-linux-x86-64.so.2"), "--library-path", in("usr/lib/x86_64-linux-gnu")}, words...)
	}
	return Debugger{
		GDB:  program(in("usr/bin/gdb"), "--data-directory", in("usr/share/gdb")),
		Drgn: program(in("usr/bin/python3"), "-m", "drgn"),
		Env:  []string{"PYTHONHOME=" + in("usr")},
	}, nil
}
