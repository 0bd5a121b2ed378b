// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"strings"
	"testing"

	"github.com/switchyard-project/switchyard/harness/run"
	"github.com/switchyard-project/switchyard/kernels"
)

// Selftests runs k's own livepatch selftests, those called scripts (as
// `switchyard selftests` takes them; none: all) in one guest, and fails the test
// with each that is not as expected. A kernel of which only the image is there
// has none, and nothing to build their modules against.
func Selftests(t *testing.T, k *kernels.Kit, scripts ...string) {
	t.Helper()
	y, ctx := yard(t), testContext(t)
	dir := artifacts(t, y)
	config := run.GuestConfig{CPUs: settings.smp, MemMiB: settings.mem, BootTimeout: settings.bootTimeout}
	if d, ok := ctx.Deadline(); ok {
		config.Deadline = d
	}
	result, err := y.Selftests(ctx, run.SelftestPlan{
		Kit: k, Scripts: scripts, Guest: config, Dir: dir,
		Step: func(what string) { t.Logf("%s: %s", k.Release, what) },
	})
	if kernels.IsLacking(err) && k.HeadersDir == "" {
		t.Skip(err)
	}
	if err != nil {
		t.Fatalf("%+v\nevidence: %s", fetchError(ctx, k.Release, err), dir)
	}
	for _, s := range result.Scripts {
		var tests []string
		for _, test := range s.Tests {
			tests = append(tests, test.Result+" "+test.Name)
		}
		if s.AsExpected() {
			t.Logf("%s: %s: %s %s %s (%s)", k.Release, s.Name, s.Result, s.Reason, s.Known, strings.Join(tests, ", "))
		} else {
			t.Errorf("%s: %s: %s, expected %s: %s (%s)", k.Release, s.Name, s.Result, s.Expected, s.Reason, strings.Join(tests, ", "))
		}
	}
	if t.Failed() {
		t.Logf("evidence: %s\nagain: switchyard selftests -kernel %s", dir, k.Release)
	}
}
