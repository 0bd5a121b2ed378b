// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"slices"
	"testing"

	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/report/bundle"
	"github.com/switchyard-project/switchyard/harness/run"
)

// modules are those that were loaded into the guest, in order.
func (v *VM) modules() []*patch.Module { return slices.Concat(v.before, v.Inserted()) }

// bundle writes what there is of a guest whose test failed into one file: for
// whoever has no access to this machine.
func (v *VM) bundle(t testing.TB, again string, running []startedLoad) {
	t.Helper()
	var loads []load.Spec
	for _, l := range running {
		loads = append(loads, l.spec)
	}
	file, err := v.yard.BundleCase(run.CaseGuest{
		Guest: v.Guest, Config: v.options.config, Case: bundle.Case{Name: t.Name(), Again: again},
		Modules: v.modules(), Loads: loads,
	})
	if err != nil {
		t.Logf("no bundle could be written: %v", err)
		return
	}
	t.Logf("bundle: %s", file)
}
