// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/kernels"
)

// TestNewestOfEachSeries: a list shows the newest of each series and flavour,
// whatever is here beside them, and counts the rest.
func TestNewestOfEachSeries(t *testing.T) {
	candidate := func(release, version, flavour string, cached bool) kernels.Candidate {
		return kernels.Candidate{Release: release, Version: version, Flavour: flavour, Cached: cached}
	}
	all := []kernels.Candidate{ // newest first, as a catalogue gives them
		candidate("d", "6.12.118-1", "amd64", false),
		candidate("c", "6.12.118-1", "cloud-amd64", false),
		candidate("b", "6.12.117-1", "cloud-amd64", true),
		candidate("a", "6.12.117-1", "amd64", false),
		candidate("9", "6.1.192-1", "cloud-amd64", false),
		candidate("8", "6.1.191-1", "cloud-amd64", false),
	}
	var shown []string
	for _, c := range newest(all) {
		shown = append(shown, c.Release)
	}
	require.Equal(t, []string{"d", "c", "b", "9"}, shown)
}

// TestNewestOfSeries: of each series one kernel, in the default flavour where
// there is one, the oldest series first.
func TestNewestOfSeries(t *testing.T) {
	var chosen []string
	for _, c := range newestOfSeries([]kernels.Candidate{
		{Release: "7.3.4-amd64", Version: "7.3.4-1", Flavour: "amd64"},
		{Release: "7.3.4-cloud", Version: "7.3.4-1", Flavour: kernels.DefaultFlavour},
		{Release: "7.3-rc-cloud", Version: "7.3~rc7-1", Flavour: kernels.DefaultFlavour},
		{Release: "6.12.1-cloud", Version: "6.12.1-1", Flavour: kernels.DefaultFlavour},
		{Release: "6.12.1-amd64", Version: "6.12.1-1", Flavour: "amd64"},
		{Release: "6.6.9+mine", Version: "6.6.9", Flavour: kernels.SourceFlavour, Label: "mine"},
		{Release: "6.6.3", Version: "6.6.3", Flavour: kernels.SourceFlavour},
	}) {
		chosen = append(chosen, c.Release)
	}
	require.Equal(t, []string{"6.6.3", "6.12.1-cloud", "7.3.4-cloud"}, chosen)
}

// TestKernelTable: what is here and what is to be fetched, capabilities told
// once, nothing wider than 100 columns.
func TestKernelTable(t *testing.T) {
	many := kernels.Capabilities()
	listed := []listedKernel{
		{Release: "7.3.4+deb13-cloud-amd64", Version: "7.3.4-1~bpo13+1", Source: "debian:trixie-backports", Bytes: 137e6, BackEnds: []string{"kbuild"}, MaybeBackEnds: []string{"btf"}},
		{Release: "6.12.118+deb13-cloud-amd64", Version: "6.12.118-1", Source: "debian:trixie-security", Cached: true, CachedBytes: 165e6, BackEnds: []string{"kbuild", "btf"}, Capabilities: many},
		{Release: "6.12.117+deb13-cloud-amd64", Version: "6.12.117-1", Source: "debian:trixie", Cached: true, BackEnds: []string{"kbuild", "btf"}, Capabilities: many},
		{Release: "6.6.3", Version: "6.6.3", Label: "kasan", FromSource: true, Source: "source:/home/somebody/kernels/trees/linux-6.6", Cached: true, CachedBytes: 99e6, Capabilities: many},
		{Release: "6.6.3", Version: "6.6.3", FromSource: true, Source: "source:/home/somebody/mirror/linux-6.6.3.tar.xz", Bytes: 50e6},
		{Release: "6.1.0-56-cloud-amd64", Version: "6.1.192-2", Source: "debian:bookworm-security", Cached: true, CachedBytes: 1e6, BackEnds: []string{"btf"}, Capabilities: many[:3]},
	}
	var out bytes.Buffer
	printKernels(&out, listed, 7)
	text := out.String()
	for _, line := range strings.Split(text, "\n") {
		require.LessOrEqual(t, utf8.RuneCountInString(line), width, line)
	}
	require.Regexp(t, `7\.3\.4\+deb13-cloud-amd64 +7\.3\.4 +debian:trixie-backports +get 137 MB +kbuild btf\?`, text)
	require.Regexp(t, `6\.12\.118\+deb13-cloud-amd64 +6\.12\.118 +debian:trixie-security +165 MB +kbuild btf `, text)
	require.Regexp(t, `6\.12\.117.*debian:trixie +here `, text)
	require.Regexp(t, `6\.6\.3\+kasan +6\.6\.3 +source:…/trees/linux-6\.6 +99 MB`, text)
	require.Regexp(t, `6\.6\.3 +6\.6\.3 +source:…/linux-6\.6\.3\.tar\.xz +to build `, text)
	require.Contains(t, text, "7 more, older releases of these series: `switchyard kernels list -all`\n")
	require.Contains(t, text, "capabilities of all that are here: "+string(many[0])+", "+string(many[1])+", "+string(many[2])+"\n")
	require.Contains(t, text, "\n6.12.118+deb13-cloud-amd64, 6.12.117+deb13-cloud-amd64, 6.6.3+kasan: "+string(many[3])+",")
	require.Contains(t, text, "\n6.1.0-56-cloud-amd64: nothing beside those\n")
	_, told, _ := strings.Cut(text, "capabilities of all that are here: ")
	words := strings.Fields(strings.NewReplacer(",", " ", ":", " ").Replace(told))
	for _, c := range many {
		times := 0
		for _, w := range words {
			if w == string(c) {
				times++
			}
		}
		require.Equal(t, 1, times, "%s once", c)
	}
}

// BenchmarkKernelsList is the whole command in this process, on the default
// cache: with a warm one it is to stay below 50 ms.
func BenchmarkKernelsList(b *testing.B) {
	for _, args := range [][]string{{"kernels", "list"}, {"kernels", "list", "-json"}, {"kernels", "list", "6.1"}, {"kernels", "list", "all"}} {
		b.Run(strings.Join(args[1:], " "), func(b *testing.B) {
			for b.Loop() {
				root := newRoot()
				root.SetArgs(normalise(args))
				root.SetOut(&bytes.Buffer{})
				if err := root.ExecuteContext(b.Context()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
