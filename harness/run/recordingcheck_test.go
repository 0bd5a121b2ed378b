// SPDX-License-Identifier: Apache-2.0

package run

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/report/bundle"
)

// TestStrangersRecording: what chooses a kernel and takes memory is looked at
// first; in a bundle it is what the bundle says, and within the limits of one.
func TestStrangersRecording(t *testing.T) {
	of := &bundle.Manifest{Kernel: bundle.Kernel{Release: "6.1.0-1-amd64"}}
	for _, c := range []struct {
		change func(*Recording)
		of     *bundle.Manifest
		want   string // "": nothing is wrong
	}{
		{func(*Recording) {}, nil, ""},
		{func(*Recording) {}, of, ""},
		{func(r *Recording) { r.Release = "/tmp/linux" }, nil, "no kernel's release"},
		{func(r *Recording) { r.Release = "all" }, of, "no kernel's release"},
		{func(r *Recording) { r.Release = "6.12.0-1-amd64" }, of, "the bundle is of 6.1.0-1-amd64"},
		{func(r *Recording) { r.Release = "6.12.0-1-amd64" }, nil, ""},
		{func(r *Recording) { r.MemMiB = 0 }, nil, "0 MiB"},
		{func(r *Recording) { r.MemMiB = 1 << 20 }, of, "1048576 MiB, and 16384 may be"},
		{func(r *Recording) { r.MemMiB = 1 << 15 }, nil, ""}, // one's own machine
		{func(r *Recording) { r.Shift = 11 }, nil, "2^11 ns"},
		{func(r *Recording) { r.Seed = -1 }, nil, "seed -1"},
	} {
		dir := t.TempDir()
		t.Run(c.want, func(t *testing.T) {
			r := &Recording{Release: "6.1.0-1-amd64", MemMiB: 512, Shift: 3}
			c.change(r)
			err := r.check(Replay{Dir: dir, Of: c.of})
			if c.want == "" {
				require.NoError(t, err)
				return
			}
			var input *patch.InputError
			require.ErrorAs(t, err, &input)
			require.ErrorContains(t, err, c.want)
		})
	}
}
