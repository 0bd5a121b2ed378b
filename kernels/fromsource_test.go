// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func built(release, label string, made int64) Candidate {
	return Candidate{Release: release, Version: UpstreamVersion(release) + "-" + release, Flavour: SourceFlavour, Label: label,
		FromSource: true, Made: time.Unix(made, 0), Cached: made > 0, Provider: "shelf"}
}

// A version means a kernel that was built here only where nobody ships one,
// and one with a name only if it is named.
func TestKernelsFromSource(t *testing.T) {
	plain, debug := built("6.6.3", "", 2), built("6.6.3+debug", "debug", 3)
	older, again := built("6.6.2", "", 4), built("6.6.3+debug", "debug", 5)
	again.Version += "2"
	ours61, tarball := built("6.1.300", "", 1), built("6.6.9", "", 0)
	shipped := cand("6.6.1+debug", "6.6.1-1", DefaultFlavour)
	for name, c := range map[string]struct {
		have []Candidate
		text string
		want []string
	}{
		"newest without a name":              {[]Candidate{older, plain, debug}, "6.6", []string{plain.Version}},
		"by its name, the later build":       {[]Candidate{plain, debug, again}, "6.6+debug", []string{again.Version}},
		"by release":                         {[]Candidate{plain, debug}, "6.6.3+debug", []string{debug.Version}},
		"at hand before a newer tarball":     {[]Candidate{plain, tarball}, "6.6", []string{plain.Version}},
		"a tarball by its version":           {[]Candidate{plain, tarball}, "6.6.9", []string{tarball.Version}},
		"shipped, though older, to be had":   {[]Candidate{ours61, k61}, "6.1", []string{k61.Version}},
		"shipped, though older, both here":   {[]Candidate{ours61, cached(k61)}, "6.1", []string{k61.Version}},
		"ours, where one is shipped":         {[]Candidate{ours61, cached(k61)}, "6.1:source", []string{ours61.Version}},
		"ours by its exact version":          {[]Candidate{ours61, cached(k61)}, "6.1.300", []string{ours61.Version}},
		"a release with a plus, exactly":     {[]Candidate{shipped, debug}, "6.6.1+debug", []string{shipped.Version}},
		"all are all that are here":          {[]Candidate{plain, debug, tarball, cached(k61)}, "all", []string{debug.Version, plain.Version, k61.Version}},
		"all, of one name the last":          {[]Candidate{debug, again}, "all", []string{again.Version}},
		"longterm: built, but not to build":  {[]Candidate{plain, debug, cached(k61)}, "lts", []string{k61.Version, plain.Version}},
		"longterm: nothing is built for it":  {[]Candidate{tarball, k61}, "lts", []string{k61.Version}},
		"longterm of one series: as shipped": {[]Candidate{ours61, cached(k61)}, "lts", []string{k61.Version}},
	} {
		t.Run(name, func(t *testing.T) {
			cat := &Catalogue{Providers: []Provider{&shelf{all: c.have}}}
			got, err := cat.Select(t.Context(), c.text)
			require.NoError(t, err)
			var versions []string
			for _, g := range got {
				versions = append(versions, g.Version)
			}
			assert.Equal(t, c.want, versions)
		})
	}
}

// What is built here is found without anybody else, also when the question
// whether someone ships it has no answer.
func TestFromSourceOffline(t *testing.T) {
	s := &shelf{all: []Candidate{built("6.6.3", "", 2)}, err: &Lacking{What: "a network"}}
	cat := &Catalogue{Providers: []Provider{s}}
	got, err := cat.Select(t.Context(), "6.6")
	require.NoError(t, err)
	assert.Equal(t, "6.6.3", got[0].Release)

	s.all, s.listed = append(s.all, built("6.6.3+mine", "mine", 1)), 0
	_, err = cat.Select(t.Context(), "6.6+mine")
	require.NoError(t, err)
	assert.Zero(t, s.listed, "nobody ships one of this name")
}

type farShelf struct {
	shelf
	far   []Candidate
	asked int
	gone  error
}

func (f *farShelf) Lookup(context.Context, Selector) ([]Candidate, error) {
	f.asked++
	return f.far, f.gone
}

func TestLastResort(t *testing.T) {
	f := &farShelf{shelf: shelf{all: []Candidate{k61}}, far: []Candidate{built("6.6.3", "", 0), built("6.6.9", "", 0)}}
	cat := &Catalogue{Providers: []Provider{f}}
	_, err := cat.Select(t.Context(), "6.1,lts")
	require.NoError(t, err)
	assert.Zero(t, f.asked)
	got, err := cat.Select(t.Context(), "6.6")
	require.NoError(t, err)
	assert.Equal(t, "6.6.9", got[0].Release)

	f.far, f.gone = nil, errors.New("out of reach")
	_, err = cat.Select(t.Context(), "6.6")
	var no *NoMatchError
	require.ErrorAs(t, err, &no)
	assert.Contains(t, no.Error(), "out of reach")
}
