// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/kernels"
)

// twoSuites is a fake with a near suite that has 6.12, and behind it
// experimental, long past its time, with a release candidate of 7.3.
func twoSuites(t *testing.T) (*fake, *kernels.Catalogue) {
	t.Helper()
	f := newFake(t)
	f.add("linux-image-6.12.9+deb13-cloud-amd64", "6.12.9-1", []byte("deb"))
	f.publish()
	near := f.suite

	f.suite = Suite{Name: "experimental", Codename: "rc-buggy", Part: archivePart, Distance: 1, Moving: true}
	f.codename, f.packages = "rc-buggy", nil
	f.validUntil = f.now.Add(-20 * 24 * time.Hour).UTC().Format(time.RFC1123)
	f.add("linux-image-7.3-cloud-amd64", "7.3~rc7-1~exp1", []byte("deb"), "Depends: linux-binary-7.3-cloud-amd64 (= 7.3~rc7-1~exp1), linux-base-7.3-cloud-amd64 (= 7.3~rc7-1~exp1)")
	f.add("linux-binary-7.3-cloud-amd64", "7.3~rc7-1~exp1", []byte("binary"))
	f.add("linux-base-7.3-cloud-amd64", "7.3~rc7-1~exp1", []byte("base"))
	f.add("linux-image-7.2-cloud-amd64", "7.2.9-1", []byte("deb"), "Depends: linux-image-7.2.9-cloud-amd64 (= 7.2.9-1)")
	f.publish()
	a := f.archive()
	a.Suites = []Suite{near, f.suite}
	return f, &kernels.Catalogue{Providers: []kernels.Provider{NewProvider(a)}}
}

// TestFarSuitesAreAskedLast asks the far suite only for what the near one
// lacks.
func TestFarSuitesAreAskedLast(t *testing.T) {
	f, cat := twoSuites(t)
	far := func() bool { return strings.Contains(strings.Join(f.asked(), "\n"), "experimental") }

	found, err := cat.Select(t.Context(), "6.12")
	require.NoError(t, err)
	require.Len(t, found, 1)
	assert.False(t, far(), "6.12 is to be had nearer")

	found, err = cat.Select(t.Context(), "6.12,7.3")
	require.NoError(t, err)
	require.Len(t, found, 2)
	assert.True(t, far())

	_, err = cat.Select(t.Context(), "7.2")
	var none *kernels.NoMatchError
	require.ErrorAs(t, err, &none, "an empty package that depends on a kernel is none")
	assert.Contains(t, none.Have, "7.3-cloud-amd64")
}

// TestMovingSuitePastItsTime takes a release candidate from a mirror that
// stands still; a suite that tools come from would be refused (see
// TestReleaseFileIsVerified).
func TestMovingSuitePastItsTime(t *testing.T) {
	_, cat := twoSuites(t)
	found, err := cat.Select(t.Context(), "7.3-cloud-amd64")
	require.NoError(t, err)
	require.Len(t, found, 1)
	assert.Equal(t, "7.3~rc7-1~exp1", found[0].Version)
	assert.EqualValues(t, len("deb")+len("binary")+len("base"), found[0].Bytes, "a kernel in pieces")
}

// TestIndexByOtherNames reads an index again when other packages count than
// when it was kept.
func TestIndexByOtherNames(t *testing.T) {
	f := newFake(t)
	f.add("linux-image-6.12.9+deb13-cloud-amd64", "6.12.9-1", []byte("deb"))
	f.publish()
	a := f.archive()
	ix, err := a.index(t.Context(), f.suite)
	require.NoError(t, err)
	ix.Names, ix.Kernels = "of an older version", nil
	require.NoError(t, a.writeIndex(f.suite, ix))
	ix, err = a.index(t.Context(), f.suite)
	require.NoError(t, err)
	assert.Len(t, ix.Kernels, 1)
}
