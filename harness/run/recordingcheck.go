// SPDX-License-Identifier: Apache-2.0

package run

import (
	"fmt"
	"path/filepath"

	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/report/bundle"
	"github.com/switchyard-project/switchyard/harness/vm"
	"github.com/switchyard-project/switchyard/kernels"
)

// check holds a recording to what a replay can be made of, before its release
// chooses a kernel and its memory is taken: a stranger may have written it. Its
// vCPUs are one, and its machine is compared with the one that is made here.
func (r *Recording) check(of Replay) error {
	wrong := ""
	switch limits := bundle.DefaultLimits; {
	case !kernels.IsRelease(r.Release):
		wrong = fmt.Sprintf("%q is no kernel's release", r.Release)
	case of.Of != nil && r.Release != of.Of.Kernel.Release:
		wrong = fmt.Sprintf("it is of kernel %s, and the bundle is of %s", r.Release, of.Of.Kernel.Release)
	case r.MemMiB < 1:
		wrong = fmt.Sprintf("its machine has %d MiB", r.MemMiB)
	case of.Of != nil && r.MemMiB > limits.MemMiB:
		wrong = fmt.Sprintf("its machine has %d MiB, and %d may be", r.MemMiB, limits.MemMiB)
	case r.Shift < 0 || r.Shift > vm.MostShift:
		wrong = fmt.Sprintf("an instruction that takes 2^%d ns is none", r.Shift)
	case r.Seed < 0:
		wrong = fmt.Sprintf("seed %d is negative", r.Seed)
	default:
		return nil
	}
	return &patch.InputError{Path: filepath.Join(of.Dir, RecordingFile), Text: wrong}
}
