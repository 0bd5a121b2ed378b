// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"os"
	"path/filepath"
	"testing"
)

// FuzzReadTables: a module is input from outside; no bytes may make its
// reader panic or run away.
func FuzzReadTables(f *testing.F) {
	found, _ := filepath.Glob("testdata/*.ko")
	for _, path := range found {
		ko, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(ko)
	}
	f.Add([]byte("\x7fELF"))
	l := &layout{}
	l.patch.objs, l.patch.replace = 8, 24
	l.obj.size, l.obj.name, l.obj.funcs = 112, 0, 8
	l.fn.size, l.fn.oldName, l.fn.newFunc, l.fn.sympos = 120, 0, 8, 16
	f.Fuzz(func(t *testing.T, ko []byte) {
		all, err := readTables(ko, l)
		if err != nil || all == nil {
			return
		}
		// Whatever the file is, what is left in it is what was to be left.
		first := true
		cut, err := cutTables(ko, l, func(Function) bool { was := first; first = false; return was })
		_, _ = cut, err
	})
}
