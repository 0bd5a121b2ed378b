// SPDX-License-Identifier: Apache-2.0

package report

import (
	"cmp"
	"path/filepath"
	"slices"

	"github.com/switchyard-project/switchyard/harness/check"
)

// leftNothing takes in the run in dir of which there is a folder and no more.
func (f *Folder) leftNothing(dir string) {
	why := "the run in " + filepath.ToSlash(dir) + " left nothing: its log has no whole line, so it ended as it began"
	f.nothing = append(f.nothing, len(f.Runs))
	f.Runs = append(f.Runs, Run{Engine: "native", Patch: Patch{Functions: []Function{}}, CutOff: why, Reason: why, Artifacts: Artifacts{Dir: filepath.Join(f.Dir, dir)}})
	f.Dirs = append(f.Dirs, dir)
}

// nameNothing names the runs that left nothing by others of the command, which
// were of the same patch, with the same expectation, and, where they are repeats
// or seeds of the same, on the same kernel.
func (f *Folder) nameNothing() {
	for _, i := range f.nothing {
		r := &f.Runs[i]
		for j, other := range f.Runs {
			if slices.Contains(f.nothing, j) {
				continue
			}
			r.Patch.Name, r.Expected = cmp.Or(r.Patch.Name, other.Patch.Name), cmp.Or(r.Expected, other.Expected)
			if series := filepath.Dir(f.Dirs[i]); series != "." && series == filepath.Dir(f.Dirs[j]) {
				r.Kernel = other.Kernel
			}
		}
		// It is never as expected, and never nobody's.
		r.Expected = cmp.Or(r.Expected, string(check.VerdictComplete))
		r.Kernel.Release = cmp.Or(r.Kernel.Release, filepath.Base(f.Dirs[i]))
	}
}
