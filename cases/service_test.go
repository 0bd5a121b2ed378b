// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness"
	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/kernels"
)

const (
	serviceModule = "testdata/service/with/switchyard_service.c"
	service       = "/proc/switchyard_service"
)

// TestHalfFinishedTransition applies a patch that takes a service away in its
// pre_patch callback and puts it back in post_patch, while a task holds the
// transition up (class 19 of the bug list). A load that uses the service tells
// that it is gone, from the beginning of the transition to its end; before and
// after it nothing is wrong.
func TestHalfFinishedTransition(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		vm := harness.Boot(t, k, harness.Commands(), harness.With(holdModule, serviceModule), harness.Load("proc-readers:"+service))
		held := vm.Start(t, "/bbin/cat", knobs+"uninterruptible")
		vm.Eventually(t, knobs+"parked", func(n string) bool { return n == "1" })
		vm.LoadsProgress(t)
		require.Equal(t, "service: original\n", vm.ReadFile(t, service))

		p := vm.Apply(t, "testdata/service", harness.WithoutTarget(), harness.StallAfter(4*time.Second))
		p.Expect(t, check.Stalled(check.Named("cat"), check.AsleepOn("hold_park")).Diagnosed("half-way"))
		p.Expect(t, check.Stalled().Diagnosed("load proc-readers failed"))
		_, err := vm.Client.ReadFile(t.Context(), service)
		require.ErrorContains(t, err, "no such file or directory")

		vm.WriteFile(t, knobs+"release", "1")
		require.Equal(t, "held\n", held.Wait(t))
		p = p.Follow(t, patience).Expect(t, check.Complete)
		require.Equal(t, "service: patched\n", vm.ReadFile(t, service))
		vm.LoadsProgress(t)

		final := vm.StopLoads(t)[0]
		require.Positive(t, final.Errors)
		// A reader that has the file open when it goes is told EIO (proc_reg_read),
		// all later ones ENOENT: either may be the first.
		require.Regexp(t, service+": (no such file or directory|input/output error)$", final.FirstError)
		phase := p.Phase(t)
		var last uint64
		for _, e := range vm.Timeline().Kind(observe.KindLoad) {
			switch {
			case e.T <= phase.Start:
				require.Zero(t, e.Load.Errors, "the service was gone before the patch came")
			case e.T <= phase.End:
				last = e.Load.Errors
			}
		}
		require.Positive(t, last, "the service was never missed during the transition")

		p.Revert(t, harness.StallAfter(patience)).Expect(t, check.Complete)
		require.Equal(t, "service: original\n", vm.ReadFile(t, service))
	})
}
