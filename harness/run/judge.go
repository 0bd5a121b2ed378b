// SPDX-License-Identifier: Apache-2.0

package run

import (
	"errors"
	"slices"

	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/vm"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// judge takes err, which ended the run early, for evidence if it is the
// machine's death. The verdict follows from the logs: see report.FromLogs.
func (x *execution) judge(err error) error {
	death, died := x.death(err)
	switch {
	case died:
		if full := store.DiskFull(err, x.Dir); full != err {
			return full // the evidence is not whole
		}
		x.noteDeath(death)
	case err != nil:
		return err
	}
	// What an instrument measured shows that its stubs run.
	if !slices.ContainsFunc(x.Patches, func(src *patch.Source) bool { return len(src.Probes) > 0 }) && !x.measured {
		x.find(observe.FoundWarning, "without a probes.json nothing shows from outside that the new code runs; see docs/writing-a-case.md")
	}
	return nil
}

// death finds the machine's end in err.
func (x *execution) death(err error) (vm.Death, bool) {
	var d vm.Death
	return d, errors.As(err, &d)
}
