// SPDX-License-Identifier: Apache-2.0

// Package treetest gives tests the kernels whose source they compile: of the
// default cache, where each is fetched and unpacked once.
//
// What lives here: which kernels, and how tests open them. What must not:
// anything that only one package's tests need.
package treetest

import (
	"context"
	"os"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch/tree"
	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/debian"
	"github.com/switchyard-project/switchyard/kernels/source"
	"github.com/switchyard-project/switchyard/kernels/store"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// Variable chooses other kernels than those two which every check of the
// project has at hand, as -kernel does: "all", "5.10,7.3".
const Variable = "SWITCHYARD_TREE_KERNELS"

const ordinary = "6.1,6.12"

// Deps are those of the default cache.
func Deps(t testing.TB) tree.Deps {
	t.Helper()
	st, err := store.Open("")
	require.NoError(t, err)
	archive, err := debian.NewArchive(st, nil)
	require.NoError(t, err)
	var mu sync.Mutex
	var root *toolroot.Root
	return tree.Deps{Store: st, Archive: archive, Root: func(ctx context.Context) (*toolroot.Root, error) {
		mu.Lock()
		defer mu.Unlock()
		var err error
		if root == nil {
			root, err = toolroot.Open(ctx, st, archive)
		}
		return root, err
	}}
}

// Kits are the chosen kernels, with a source or without.
func Kits(t testing.TB) (all []*kernels.Kit) {
	t.Helper()
	d := Deps(t)
	catalogue := &kernels.Catalogue{Providers: []kernels.Provider{debian.NewProvider(d.Archive), &source.Provider{Store: d.Store, Root: d.Root}}}
	chosen := os.Getenv(Variable)
	if chosen == "" {
		chosen = ordinary
	}
	found, err := catalogue.Select(t.Context(), chosen)
	require.NoError(t, err)
	for _, c := range found {
		kit, err := catalogue.Get(t.Context(), c)
		require.NoError(t, err)
		all = append(all, kit)
	}
	return all
}

// Trees are the sources of those of the chosen kernels that have one; "all"
// holds images without. There is one at least.
func Trees(t testing.TB) (all []*tree.Tree) {
	t.Helper()
	d := Deps(t)
	for _, kit := range Kits(t) {
		tr, err := tree.Open(t.Context(), d, kit)
		if kernels.IsLacking(err) {
			t.Logf("left out: %v", err)
			continue
		}
		require.NoError(t, err)
		all = append(all, tr)
	}
	require.NotEmpty(t, all, "none of the kernels chosen by %s has a source", Variable)
	return all
}
