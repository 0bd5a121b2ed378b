// SPDX-License-Identifier: Apache-2.0

package cases

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness"
	"github.com/switchyard-project/switchyard/harness/check"
	"github.com/switchyard-project/switchyard/kernels"
)

// sample is one of the diffs in testdata/diffs; its README says what lies
// beside it.
type sample struct {
	path, name   string
	Modules      []string // of the kernel's own, to be there first
	Since, Until string   // series
	Codes, Says  []string // of its refusal
}

// samples are the diffs in a folder of testdata/diffs, for kernels of k's series.
func samples(t *testing.T, k *kernels.Kit, folder string) (all []sample) {
	t.Helper()
	found, err := filepath.Glob(filepath.Join("testdata/diffs", folder, "*.patch"))
	require.NoError(t, err)
	for _, path := range found {
		s := sample{path: path, name: strings.TrimSuffix(filepath.Base(path), ".patch")}
		text, err := os.ReadFile(strings.TrimSuffix(path, ".patch") + ".json")
		if !errors.Is(err, fs.ErrNotExist) {
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(text, &s), path)
		}
		if (s.Since == "" || k.AtLeast(s.Since)) && (s.Until == "" || !k.AtLeast(s.Until) || kernels.Series(k.Version) == s.Until) {
			all = append(all, s)
		}
	}
	return all
}

// withSource leaves out kernels of which only the image is there.
func withSource(t *testing.T, k *kernels.Kit) {
	t.Helper()
	if k.HeadersDir == "" {
		t.Skipf("%s has neither headers nor source", k.Release)
	}
}

// TestDiffs makes a live patch of each of our diffs, applies it under load, sees
// by its probes that the new code runs and, after the revert, that the old one
// does.
func TestDiffs(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		withSource(t, k)
		all := samples(t, k, "")
		require.GreaterOrEqual(t, len(all), 15)
		ran, effective := 0, 0
		for _, s := range all {
			t.Run(s.name, func(t *testing.T) {
				ran++
				if applyDiff(t, k, s) {
					effective++
				}
			})
		}
		if ran == len(all) { // and not a few of them, by -run
			require.GreaterOrEqual(t, effective, 15)
		}
	})
}

// applyDiff says whether the diff took effect; else it was told why not.
func applyDiff(t *testing.T, k *kernels.Kit, s sample) bool {
	probes := harness.Probes(t, s.path)
	require.NotEmpty(t, probes)
	for _, m := range s.Modules {
		var missing *kernels.NoModuleError
		if _, _, err := k.ModuleFiles(m); errors.As(err, &missing) {
			// It is not built as this kernel is configured, and that is told.
			require.Equal(t, "not-built", string(harness.Refusals(t, k, s.path)[0].Code))
			return false
		}
	}
	vm := harness.Boot(t, k, harness.Load("fork", "pipe"))
	for _, m := range s.Modules {
		require.NoError(t, vm.InsertOwn(t, m))
	}
	see := func(when string, want func(i int) string) {
		t.Helper()
		for i, p := range probes {
			require.Regexp(t, regexp.MustCompile(want(i)), vm.ReadFile(t, p.Read), "%s of %s", when, p.Read)
		}
	}
	before := func(i int) string { return probes[i].Before }
	after := func(i int) string { return probes[i].After }
	see("before the patch", before)
	p := vm.Apply(t, s.path)
	// Kernels that hook nothing where a dead weak function follows say so
	// nowhere; the run must, and what is read must bear it out.
	hooked := p.Outcome.Verdict != check.VerdictIneffective
	if hooked {
		p.Expect(t, check.Complete)
		see("patched", after)
	} else {
		require.Contains(t, p.Outcome.Reason, "ftrace does not hook it")
		see("patched without effect", before)
	}
	vm.LoadsProgress(t)
	p.Revert(t).Expect(t, check.Complete)
	see("after the revert", before)
	p.Unload(t)
	require.Empty(t, vm.Livepatches(t))
	return hooked
}

// TestRefusedDiffs: what cannot be a live patch is told before any guest is
// started, with the reason for programs and a sentence for people.
func TestRefusedDiffs(t *testing.T) {
	harness.EachKernel(t, func(t *testing.T, k *kernels.Kit) {
		withSource(t, k)
		all := samples(t, k, "refused")
		require.GreaterOrEqual(t, len(all), 12)
		for _, s := range all {
			t.Run(s.name, func(t *testing.T) {
				require.NotEmpty(t, s.Codes)
				refusals := harness.Refusals(t, k, s.path)
				require.Contains(t, s.Codes, string(refusals[0].Code), "%v", refusals[0])
				for _, words := range s.Says {
					require.ErrorContains(t, refusals[0], words)
				}
			})
		}
	})
}
