// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// shelf is a provider with fixed contents.
type shelf struct {
	all    []Candidate
	err    error // of asking for what is not cached
	listed int
}

func (s *shelf) Name() string { return "shelf" }

func (s *shelf) AtHand(context.Context) (have []Candidate, err error) {
	for _, c := range s.all {
		if c.Cached {
			have = append(have, c)
		}
	}
	return have, nil
}

func (s *shelf) List(ctx context.Context) ([]Candidate, error) {
	s.listed++
	if s.err != nil {
		have, _ := s.AtHand(ctx)
		return have, s.err
	}
	return s.all, nil
}

func (s *shelf) Get(_ context.Context, c Candidate) (*Kit, error) {
	return &Kit{Release: c.Release}, nil
}

func cand(release, version, flavour string) Candidate {
	return Candidate{Release: release, Version: version, Flavour: flavour, Provider: "shelf"}
}

func native(c Candidate) Candidate { c.Native = true; return c }
func cached(c Candidate) Candidate { c.Cached = true; return c }

var (
	k61old   = cand("6.1.0-50-cloud-amd64", "6.1.176-1", "cloud-amd64")
	k61      = cand("6.1.0-56-cloud-amd64", "6.1.192-2", "cloud-amd64")
	k61g     = cand("6.1.0-56-amd64", "6.1.192-2", "amd64")
	k612     = native(cand("6.12.117+deb13-cloud-amd64", "6.12.117-1", "cloud-amd64"))
	k612back = cand("6.12.117+deb12-cloud-amd64", "6.12.117-1~deb12u1", "cloud-amd64")
	k612old  = native(cand("6.12.99+deb13-cloud-amd64", "6.12.99-1", "cloud-amd64"))
	k616     = cand("6.16.3+deb14-cloud-amd64", "6.16.3-1", "cloud-amd64")
)

func TestSelect(t *testing.T) {
	for name, c := range map[string]struct {
		have  []Candidate
		text  string
		fresh bool
		want  []string
	}{
		"newest by version, not by text":   {[]Candidate{k612old, k612, k61old, k61}, "6.12,6.1", false, []string{k612.Release, k61.Release}},
		"native of equal upstreams":        {[]Candidate{k612back, k612}, "6.12", false, []string{k612.Release}},
		"each once":                        {[]Candidate{k61, k612}, "6.1,6.12,6.1.192", false, []string{k61.Release, k612.Release}},
		"flavour":                          {[]Candidate{k61, k61g}, "6.1:generic,6.1", false, []string{k61g.Release, k61.Release}},
		"at hand before newer":             {[]Candidate{cached(k61old), k61}, "6.1", false, []string{k61old.Release}},
		"fresh means the newest to be had": {[]Candidate{cached(k61old), k61}, "6.1", true, []string{k61.Release}},
		"newest at hand":                   {[]Candidate{cached(k61old), cached(k61)}, "6.1", false, []string{k61.Release}},
		"all is what is at hand":           {[]Candidate{k61, cached(k61old), cached(k612)}, "all", false, []string{k612.Release, k61old.Release}},
		"newest of each longterm":          {[]Candidate{k616, k612, k612old, k61old, k61}, "lts", false, []string{k61.Release, k612.Release}},
	} {
		t.Run(name, func(t *testing.T) {
			cat := &Catalogue{Providers: []Provider{&shelf{all: c.have}}, Fresh: c.fresh}
			got, err := cat.Select(t.Context(), c.text)
			require.NoError(t, err)
			var releases []string
			for _, g := range got {
				releases = append(releases, g.Release)
			}
			assert.Equal(t, c.want, releases)
		})
	}
}

func TestSelectOffline(t *testing.T) {
	gone := &Lacking{What: "a network"}
	s := &shelf{all: []Candidate{cached(k61old), k61, k612}, err: gone}
	cat := &Catalogue{Providers: []Provider{s}}

	got, err := cat.Select(t.Context(), "6.1")
	require.NoError(t, err)
	assert.Equal(t, k61old.Release, got[0].Release)
	assert.Zero(t, s.listed, "what is at hand needs no archive")

	_, err = cat.Select(t.Context(), "6.1,6.12")
	require.ErrorIs(t, err, gone, "the reason is the network, and not the selector")

	cat.Fresh = true
	got, err = cat.Select(t.Context(), "6.1")
	require.NoError(t, err, "an unreachable archive does not take away what is at hand")
	assert.Equal(t, k61old.Release, got[0].Release)
}

func TestNoMatch(t *testing.T) {
	cat := &Catalogue{Providers: []Provider{&shelf{all: []Candidate{k61, k61old, k612, k612back, k612old, k61g}}}}
	for text, nearest := range map[string]string{
		"6.11": "6.12", "6.13": "6.12", "6.2": "6.12", "6.1.0-56-clod-amd64": k61.Release, "banana": "", "all": "6.12",
	} {
		_, err := cat.Select(t.Context(), text)
		var no *NoMatchError
		require.ErrorAs(t, err, &no, text)
		assert.Equal(t, text, no.Selector)
		assert.Equal(t, nearest, no.Nearest, text)
		assert.Equal(t, []string{k612.Release, k61.Release}, no.Have[:2], "the newest of each series first")
		assert.Contains(t, err.Error(), text)
		assert.Contains(t, err.Error(), k61.Release)
		assert.Contains(t, err.Error(), "switchyard kernels list")
		if nearest != "" {
			assert.Contains(t, err.Error(), "switchyard kernels get "+nearest)
		}
	}
}

func TestPathsGoToTheirProvider(t *testing.T) {
	cat := &Catalogue{Providers: []Provider{&shelf{}}}
	_, err := cat.Select(t.Context(), "./vmlinuz")
	var no *NoMatchError
	require.ErrorAs(t, err, &no)

	cat.Providers = append(cat.Providers, &pathShelf{})
	got, err := cat.Select(t.Context(), "./vmlinuz")
	require.NoError(t, err)
	assert.Equal(t, "at ./vmlinuz", got[0].Release)
	got, err = cat.Select(t.Context(), "host")
	require.NoError(t, err)
	assert.Equal(t, "at host", got[0].Release)
}

// TestLabels: what names a kernel, of those at hand too, of which several can
// be of one release.
func TestLabels(t *testing.T) {
	assert.Equal(t, [2]string{k61.Release, k61.Release}, [2]string{k61.Selector(), k61.FileName()})
	own := Candidate{Release: "6.6.3", Version: "6.6.3+local.12345678", Path: "./a b"}
	assert.Equal(t, [2]string{"./a b", "6.6.3+local.12345678"}, [2]string{own.Selector(), own.FileName()})
}

// TestFileWithoutSlash: a file in the folder is no selector, but is told of.
func TestFileWithoutSlash(t *testing.T) {
	t.Chdir(t.TempDir())
	require.NoError(t, os.WriteFile("vmlinuz", nil, 0o644))
	_, err := (&Catalogue{Providers: []Provider{&shelf{}}}).Select(t.Context(), "vmlinuz")
	var no *NoMatchError
	require.ErrorAs(t, err, &no)
	assert.Contains(t, err.Error(), "write ./vmlinuz")
}

type pathShelf struct{ shelf }

func (p *pathShelf) FromPath(_ context.Context, path string) (Candidate, bool, error) {
	return Candidate{Release: "at " + path}, true, nil
}

func TestGetGoesToTheProvider(t *testing.T) {
	cat := &Catalogue{Providers: []Provider{&shelf{}}}
	kit, err := cat.Get(t.Context(), k61)
	require.NoError(t, err)
	assert.Equal(t, k61.Release, kit.Release)
	_, err = cat.Get(t.Context(), Candidate{Release: "x", Provider: "nobody"})
	require.ErrorContains(t, err, "nobody")
}

func TestListKeepsWhatItHas(t *testing.T) {
	bad, worse := errors.New("bad"), errors.New("worse")
	cat := &Catalogue{Providers: []Provider{
		&shelf{all: []Candidate{cached(k61)}, err: bad}, &shelf{all: []Candidate{k612, cached(k612)}}, &shelf{err: worse},
	}}
	got, err := cat.List(t.Context())
	require.ErrorIs(t, err, bad)
	require.ErrorIs(t, err, worse)
	require.Len(t, got, 2)
	assert.True(t, got[0].Cached, "cached if any provider has it so")
}
