// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"testing"

	"github.com/switchyard-project/switchyard/harness/report"
)

// SeenCalls is what was seen of the calls of patched functions.
type SeenCalls = report.Calls

// Calls has the calls of the functions seen that the patches replace which
// Apply applies: (*VM).Calls gives them.
func Calls() Option { return func(_ testing.TB, o *options) { o.calls = true } }

// CallsBuffer is Calls with a trace buffer of kb KiB for each CPU, to have it
// run over.
func CallsBuffer(kb int) Option {
	return func(_ testing.TB, o *options) { o.calls, o.callsBuffer = true, kb }
}

// Calls is all that was seen of the calls of patched functions until now. The
// guest must have been booted with the option Calls, and a patch applied.
func (v *VM) Calls(t testing.TB) *SeenCalls {
	t.Helper()
	if err := v.Guest.FlushCalls(v.ctx); err != nil {
		t.Fatalf("read the guest's calls: %v", err)
	}
	c := report.CallsOf(v.Timeline())
	if c == nil {
		t.Fatal("no calls are seen: boot with harness.Calls(), and apply a patch")
	}
	return c
}

// WrongCalls say, a sentence for each function, which calls ran a version whose
// time was over.
func (v *VM) WrongCalls(t testing.TB) []string {
	t.Helper()
	return v.Calls(t).Wrong()
}
