// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"errors"
	"syscall"
	"testing"

	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/patch/refusal"
	"github.com/switchyard-project/switchyard/kernels"
)

// Probes are those beside the patch at path: see patch.Probe.
func Probes(t testing.TB, path string) []patch.Probe {
	t.Helper()
	src, err := patch.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return src.Probes
}

// Refusals builds the diff at path for k, without a guest, and gives why it
// cannot be a live patch; one that can fails the test.
func Refusals(t testing.TB, k *kernels.Kit, path string, opts ...ApplyOption) []*refusal.Refusal {
	t.Helper()
	all := Refused(t, k, path, opts...)
	if len(all) == 0 {
		t.Fatalf("%s: a module was made of %s, which should have been refused", k.Release, path)
	}
	return all
}

// Refused is Refusals for a diff that may well be taken: then there are none.
func Refused(t testing.TB, k *kernels.Kit, path string, opts ...ApplyOption) []*refusal.Refusal {
	t.Helper()
	y, ctx := yard(t), testContext(t)
	var o applyOptions
	for _, opt := range opts {
		opt(&o)
	}
	src, err := patch.OpenAs(path, o.diff)
	if err == nil {
		if _, err = y.Builder.Build(ctx, src, k); err == nil {
			return nil
		}
	}
	all := refusal.All(err)
	if len(all) == 0 {
		t.Fatalf("%s: %s was not refused but failed: %+v", k.Release, path, fetchError(ctx, k.Release, err))
	}
	return all
}

// InsertOwn loads the kernel's own module called name and those that it needs.
// The error is a *kernels.NoModuleError if the kernel comes without it.
func (v *VM) InsertOwn(t testing.TB, name string) error {
	t.Helper()
	own, err := v.yard.Builder.Own(v.ctx, v.Kit, name)
	var missing *kernels.NoModuleError
	if errors.As(err, &missing) {
		return err
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range own {
		if err := v.Guest.Insert(v.ctx, m, ""); err != nil && !errors.Is(err, syscall.EEXIST) {
			t.Fatalf("load the kernel's own %s: %v", m.Name, v.Explain(err))
		}
	}
	return nil
}
