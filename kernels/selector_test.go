// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestParseSelector(t *testing.T) {
	for text, want := range map[string][]Selector{
		"6.1":                   {{"6.1", ByVersion, "6.1", ""}},
		" 6.1 , 6.12 ":          {{"6.1", ByVersion, "6.1", ""}, {"6.12", ByVersion, "6.12", ""}},
		"6.1:generic":           {{"6.1:generic", ByVersion, "6.1", "amd64"}},
		"6.12:cloud":            {{"6.12:cloud", ByVersion, "6.12", "cloud-amd64"}},
		"6.12:arm64-16k":        {{"6.12:arm64-16k", ByVersion, "6.12", "arm64-16k"}},
		"all":                   {{"all", AllAtHand, "", ""}},
		"lts:generic":           {{"lts:generic", NewestLTS, "", "amd64"}},
		"6.12.117+deb13-amd64":  {{"6.12.117+deb13-amd64", ByVersion, "6.12.117+deb13-amd64", ""}},
		"host":                  {{"host", ByPath, "host", ""}},
		"./host":                {{"./host", ByPath, "./host", ""}},
		"~/a b,..":              {{"~/a b", ByPath, "~/a b", ""}, {"..", ByPath, "..", ""}},
		"./build,/boot/vmlinuz": {{"./build", ByPath, "./build", ""}, {"/boot/vmlinuz", ByPath, "/boot/vmlinuz", ""}},
	} {
		got, err := ParseSelector(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
	for _, text := range []string{"", ",", "6.1,", "6.1,,6.12", "6.1:", "6 1", "6.1:a:b", "-6.1", "6.1;rm", "ä"} {
		_, err := ParseSelector(text)
		var bad *SelectorError
		require.ErrorAs(t, err, &bad, text)
		assert.NotEmpty(t, bad.Reason)
	}
}

func TestMatches(t *testing.T) {
	old := Candidate{Release: "6.1.0-56-cloud-amd64", Version: "6.1.192-2", Flavour: "cloud-amd64"}
	generic := Candidate{Release: "6.1.0-56-amd64", Version: "6.1.192-2", Flavour: "amd64"}
	recent := Candidate{Release: "6.12.117+deb13-cloud-amd64", Version: "6.12.117-1", Flavour: "cloud-amd64", Cached: true}
	odd := Candidate{Release: "6.16.3+deb13-cloud-amd64", Version: "6.16.3-1~bpo13+1", Flavour: "cloud-amd64"}
	for _, c := range []struct {
		selector string
		want     []Candidate
	}{
		{"6", []Candidate{old, recent, odd}},
		{"6.1", []Candidate{old}}, // and not 6.12, 6.16
		{"6.1:generic", []Candidate{generic}},
		{"6.12", []Candidate{recent}},
		{"6.12.117", []Candidate{recent}},
		{"6.12.11", nil},
		{"6.1.192", []Candidate{old}}, // the upstream version, which Debian's release hides
		{"6.1.0-56", []Candidate{old}},
		{"6.1.0-56-amd64", []Candidate{generic}}, // exact: its own flavour
		{"6.1.0-56-amd64:cloud", nil},
		{"all", []Candidate{recent}},
		{"lts", []Candidate{old, recent}},
		{"lts:generic", []Candidate{generic}},
		{"7", nil},
	} {
		s, err := ParseSelector(c.selector)
		require.NoError(t, err)
		var got []Candidate
		for _, cand := range []Candidate{old, generic, recent, odd} {
			if s[0].Matches(cand) {
				got = append(got, cand)
			}
		}
		assert.Equal(t, c.want, got, c.selector)
	}
}

// A version's prefix that ends where a number ends matches, and one that ends
// inside a number does not.
func TestPrefixEndsAtNumber(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.StringMatching(`[1-9][0-9]{0,2}`)
		parts := rapid.SliceOfN(number, 2, 4).Draw(t, "parts")
		version := parts[0]
		for _, p := range parts[1:] {
			version += "." + p
		}
		n := rapid.IntRange(1, len(version)).Draw(t, "n")
		boundary := n == len(version) || version[n] == '.'
		if version[n-1] == '.' {
			t.Skip("nobody writes a dot at the end")
		}
		assert.Equal(t, boundary, prefixOf(version[:n], version))
	})
}

func FuzzParseSelector(f *testing.F) {
	for _, s := range []string{"6.1,6.12", "all", "lts:generic", "./x", "6.1:", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		all, err := ParseSelector(text)
		if err != nil {
			return
		}
		require.NotEmpty(t, all)
		for _, s := range all {
			again, err := ParseSelector(s.Text)
			require.NoError(t, err)
			require.Equal(t, []Selector{s}, again)
		}
	})
}
