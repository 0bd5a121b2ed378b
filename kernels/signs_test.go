// SPDX-License-Identifier: Apache-2.0

package kernels_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/debian"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// TestSigns: what an image alone tells of its config is what its config says,
// on every Debian kernel at hand.
func TestSigns(t *testing.T) {
	st, err := store.Open("")
	require.NoError(t, err)
	archive, err := debian.NewArchive(st, nil)
	require.NoError(t, err)
	catalogue := &kernels.Catalogue{Providers: []kernels.Provider{debian.NewProvider(archive)}}
	seen := 0
	for _, selector := range []string{"6.1,6.12", "all"} {
		found, err := catalogue.Select(t.Context(), selector)
		if kernels.IsLacking(err) {
			t.Skip(err) // neither a network nor a cache
		}
		require.NoError(t, err)
		for _, c := range found {
			kit, err := catalogue.Get(t.Context(), c)
			require.NoError(t, err)
			if kit.ConfigDeduced {
				continue
			}
			seen++
			text, err := kernels.DeduceConfig(kit.VMLinux)
			require.NoError(t, err)
			for _, option := range kernels.SignedOptions() {
				assert.Equal(t, kit.ConfigValue(option) == "y", strings.Contains(string(text), option+"=y\n"),
					"%s: %s is %q in the config, the image shows another", kit.Release, option, kit.ConfigValue(option))
			}
		}
	}
	assert.GreaterOrEqual(t, seen, 2)
}
