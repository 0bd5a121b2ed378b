// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/debian"
	"github.com/switchyard-project/switchyard/kernels/store"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// archive is the Debian archive with the cache of this machine.
var archive = sync.OnceValues(func() (*debian.Archive, error) {
	st, err := store.Open("")
	if err != nil {
		return nil, err
	}
	return debian.NewArchive(st, nil)
})

// testKit is the newest kernel of version at hand, fetched if there is none.
func testKit(t testing.TB, version string) *kernels.Kit {
	t.Helper()
	a, err := archive()
	require.NoError(t, err)
	c := &kernels.Catalogue{Providers: []kernels.Provider{debian.NewProvider(a)}}
	chosen, err := c.Select(t.Context(), version)
	require.NoError(t, err)
	kit, err := c.Get(t.Context(), chosen[0])
	require.NoError(t, err)
	return kit
}

// chosenQEMU is what a user would get: SWITCHYARD_QEMU (host, tool, a path),
// else the host's if it is new enough, else the tool root's.
var chosenQEMU = sync.OnceValues(func() (QEMU, error) {
	ctx := context.Background()
	q, err := toolroot.FindQEMU(ctx, os.Getenv("SWITCHYARD_QEMU"), func() (*toolroot.Root, error) {
		a, err := archive()
		if err != nil {
			return nil, err
		}
		return toolroot.OpenQEMU(ctx, a.Store, a)
	})
	return QEMU(q), err
})

func testQEMU(t testing.TB) QEMU {
	t.Helper()
	q, err := chosenQEMU()
	require.NoError(t, err)
	return q
}
