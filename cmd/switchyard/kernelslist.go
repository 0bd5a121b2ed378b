// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
	"github.com/spf13/cobra"

	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/harness/run"
	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/debian"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// listedKernel is an entry of `kernels list -json`.
type listedKernel struct {
	Release string `json:"release"`
	Version string `json:"version"`
	Source  string `json:"source"`
	Flavour string `json:"flavour"`
	Label   string `json:"label,omitempty"` // of a kernel built here: see kernels build -name
	Cached  bool   `json:"cached"`
	// FromSource: built here, or to be built.
	FromSource bool `json:"from_source"`
	// AtHand: a kernel of this machine's own files.
	AtHand bool `json:"at_hand"`
	// Bytes is the size of what is to be fetched, CachedBytes what the kit
	// takes of the disk.
	Bytes       int64 `json:"bytes"`
	CachedBytes int64 `json:"cached_bytes"`
	HasHeaders  bool  `json:"has_headers"`
	// BackEnds are the ways to build modules for it that are known to work;
	// MaybeBackEnds those that its image must show once it is here.
	BackEnds      []string `json:"back_ends"`
	MaybeBackEnds []string `json:"maybe_back_ends,omitempty"`
	// Capabilities are null for a kernel that is not here.
	Capabilities []kernels.Capability `json:"capabilities"`
}

func kernelsListCommand() *cobra.Command {
	var asJSON, all bool
	cmd := &cobra.Command{
		Use:   "list [SELECTOR]",
		Short: "List the kernels at hand and to be had",
		Example: `  switchyard kernels list            the newest of each series and flavour, and what is here
  switchyard kernels list -all       every release
  switchyard kernels list 6.1,lts    which kernels these selectors take
  switchyard kernels list -json      with all capabilities`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{fmt.Errorf("kernels list takes one selector; several are joined by commas")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			y, done, err := openYard(cmd, run.Options{})
			if err != nil {
				return err
			}
			defer done()
			var found []kernels.Candidate
			if len(args) == 1 {
				found, err = y.Catalogue.Select(cmd.Context(), args[0])
				all = true
			} else {
				found, err = y.Catalogue.List(cmd.Context())
			}
			done()
			if err != nil && len(found) == 0 {
				return err
			}
			if err != nil { // a list with a gap is better than none
				fmt.Fprintf(cmd.ErrOrStderr(), "switchyard: %v\n", err)
			}
			shown := found
			if !all {
				shown = newest(found)
			}
			listed := describe(shown)
			if asJSON {
				e := json.NewEncoder(cmd.OutOrStdout())
				e.SetIndent("", "  ")
				return e.Encode(listed)
			}
			printKernels(cmd.OutOrStdout(), listed, len(found)-len(shown))
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.Flags().BoolVar(&all, "all", false, "every release, not only the newest of each series and flavour")
	return cmd
}

// newest keeps of each series and flavour the first, which is the newest, and
// all that are here.
func newest(found []kernels.Candidate) (kept []kernels.Candidate) {
	seen := map[[2]string]bool{}
	for _, c := range found {
		key := [2]string{kernels.Series(c.Version), c.Flavour}
		if c.Cached || !seen[key] {
			kept = append(kept, c)
		}
		seen[key] = true
	}
	return kept
}

// describe looks at those that are here.
func describe(found []kernels.Candidate) []listedKernel {
	listed := make([]listedKernel, 0, len(found))
	for _, c := range found {
		l := listedKernel{Release: c.Release, Version: c.Version, Source: c.Source, Flavour: c.Flavour,
			Label: c.Label, Cached: c.Cached, FromSource: c.FromSource, AtHand: c.Path != "", Bytes: c.Bytes, HasHeaders: c.HasHeaders, BackEnds: []string{}}
		if c.HasHeaders {
			l.BackEnds = append(l.BackEnds, "kbuild")
		}
		if kit, err := kernels.ReadKitFile(c.Dir); c.Dir != "" && err == nil {
			l.CachedBytes, _ = store.Bytes(c.Dir)
			l.Capabilities = kit.Capabilities()
			if slices.Contains(l.Capabilities, kernels.BTF) {
				l.BackEnds = append(l.BackEnds, "btf")
			}
		} else {
			l.MaybeBackEnds = []string{"btf"}
		}
		// Whose headers are to be had, its source is too, but for kernels of
		// files at hand.
		if c.HasHeaders && (c.FromSource || c.Provider == debian.ProviderName) {
			l.BackEnds = append(l.BackEnds, "diff")
		}
		listed = append(listed, l)
	}
	return listed
}

// width is what a line may take of a terminal.
const width = 100

func printKernels(w io.Writer, listed []listedKernel, more int) {
	t := report.NewTable(w)
	t.SetColumnConfigs([]table.ColumnConfig{{Number: 4, Align: text.AlignRight, AlignHeader: text.AlignRight}})
	t.AppendHeader(table.Row{"release", "version", "source", "size", "back ends"})
	maybe, get := false, false
	for _, l := range listed {
		ends := strings.Join(l.BackEnds, " ")
		for _, m := range l.MaybeBackEnds {
			ends = strings.TrimSpace(ends + " " + m + "?")
			maybe = true
		}
		get = get || strings.HasPrefix(l.size(), "get")
		// The packaging of a version stands in the release mostly.
		version, _, _ := strings.Cut(l.Version, "-")
		t.AppendRow(table.Row{l.name(), version, shortSource(l.Source), l.size(), ends})
	}
	t.Render()
	if get {
		fmt.Fprintln(w, "get: to be fetched")
	}
	if maybe {
		fmt.Fprintln(w, "btf?: if its image has BTF, which shows once it is in the cache")
	}
	if more > 0 {
		fmt.Fprintf(w, "%d more, older releases of these series: `switchyard kernels list -all`\n", more)
	}
	printCapabilities(w, listed)
}

// name is what selects it.
func (l listedKernel) name() string {
	if l.Label != "" && !strings.HasSuffix(l.Release, "+"+l.Label) {
		return l.Release + "+" + l.Label
	}
	return l.Release
}

// shortSource leaves out the middle of what has a long path in it.
func shortSource(source string) string {
	const most = 30
	provider, place, _ := strings.Cut(source, ":")
	if len(source) <= most {
		return source
	}
	end := strings.ToValidUTF8(place[len(place)-(most-len(provider)-2):], "")
	if i := strings.IndexByte(end, '/'); i >= 0 {
		end = end[i:]
	}
	return provider + ":…" + end
}

func (l listedKernel) size() string {
	switch {
	case l.FromSource && !l.Cached:
		return "to build"
	case l.AtHand && !l.Cached:
		return "at hand"
	case l.Cached && l.CachedBytes > 0:
		return humanize.Bytes(uint64(l.CachedBytes))
	case l.Cached:
		return "here"
	case l.Bytes > 0:
		return "get " + humanize.Bytes(uint64(l.Bytes))
	}
	return "get"
}

// printCapabilities says once what all kernels here can, and then of each what
// it can beside that.
func printCapabilities(w io.Writer, listed []listedKernel) {
	var here []listedKernel
	for _, l := range listed {
		if l.Capabilities != nil {
			here = append(here, l)
		}
	}
	if len(here) == 0 {
		return
	}
	var common []string
	for _, c := range here[0].Capabilities {
		if !slices.ContainsFunc(here, func(l listedKernel) bool { return !slices.Contains(l.Capabilities, c) }) {
			common = append(common, string(c))
		}
	}
	if len(here) == 1 {
		printWrapped(w, "capabilities: ", common)
		return
	}
	printWrapped(w, "capabilities of all that are here: ", common)
	var sets []string // in the order of their first kernel
	releases := map[string][]string{}
	for _, l := range here {
		var own []string
		for _, c := range l.Capabilities {
			if !slices.Contains(common, string(c)) {
				own = append(own, string(c))
			}
		}
		set := strings.Join(own, ", ")
		if releases[set] == nil {
			sets = append(sets, set)
		}
		releases[set] = append(releases[set], l.name())
	}
	for _, set := range sets {
		printWrapped(w, strings.Join(releases[set], ", ")+": ", []string{cmp.Or(set, "nothing beside those")})
	}
}

func printWrapped(w io.Writer, title string, names []string) {
	const indent = "  "
	lines := strings.Split(text.WrapSoft(title+strings.Join(names, ", "), width-len(indent)), "\n")
	for i, line := range lines {
		if i > 0 {
			line = indent + line
		}
		fmt.Fprintln(w, strings.TrimRight(line, " "))
	}
}
