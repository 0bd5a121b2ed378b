// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/run"
	"github.com/switchyard-project/switchyard/kernels"
)

// grace is what a test keeps of its binary's time limit to say what it was
// doing and to clean up; go test's own limit only prints goroutines.
const grace = 20 * time.Second

// shared is the yard of this test binary.
var shared = sync.OnceValues(func() (*run.Yard, error) {
	route, err := patch.ParseRoute(settings.route)
	if err != nil {
		return nil, fmt.Errorf("-route: %w", err)
	}
	return run.NewYard(run.Options{QEMU: settings.qemu, Accel: settings.accel, Route: route, VMs: settings.vms, Prefork: true})
})

func yard(t testing.TB) *run.Yard {
	t.Helper()
	y, err := shared()
	if err != nil {
		t.Fatal(err)
	}
	return y
}

// testContext lasts until the test's clean-up is through, unlike t.Context(),
// which ends before it, but not longer than the test binary may run.
func testContext(t testing.TB) context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	d, ok := t.(interface{ Deadline() (time.Time, bool) })
	if !ok {
		return ctx // a benchmark
	}
	end, ok := d.Deadline()
	if !ok {
		return ctx
	}
	ctx, cancel = context.WithDeadlineCause(ctx, end.Add(-grace), errors.New("go test's time limit (-timeout) is near"))
	t.Cleanup(cancel)
	return ctx
}

// EachKernel runs test for each kernel that -kernel names, as a subtest with
// the kernel's release as its name. Kernels run at the same time as far as
// -vms allows.
func EachKernel(t *testing.T, test func(t *testing.T, k *kernels.Kit)) {
	t.Helper()
	y, ctx := yard(t), testContext(t)
	found, err := y.Catalogue.Select(ctx, settings.kernel)
	if err != nil {
		t.Fatal(fetchError(ctx, settings.kernel, err))
	}
	for _, c := range found {
		t.Run(c.Release, func(t *testing.T) {
			t.Parallel()
			if c.FromSource && !c.Cached {
				t.Logf("kernel %s has to be built first, which takes minutes; `switchyard kernels build %[1]s` shows how far it is", c.Release)
			}
			kit, err := y.Kit(testContext(t), c)
			if err != nil {
				t.Fatal(fetchError(ctx, c.Release, err))
			}
			test(t, kit)
		})
	}
}

// fetchError says what to do when the network is too slow for go test.
func fetchError(ctx context.Context, kernel string, err error) error {
	var unfinished *kernels.Unfinished
	if ctx.Err() == nil || errors.As(err, &unfinished) {
		return err
	}
	return fmt.Errorf("kernel %s and the tools for it were not here in time: %w; fetch them once with `switchyard kernels get %[1]s` and `switchyard doctor`, or give go test a longer -timeout", kernel, err)
}
