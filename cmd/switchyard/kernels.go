// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"

	"github.com/dustin/go-humanize"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/switchyard-project/switchyard/harness/run"
	"github.com/switchyard-project/switchyard/kernels"
)

func kernelsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kernels",
		Short: "What can be tested, and getting it",
		Example: `  switchyard kernels list            what there is
  switchyard kernels list 6.1        which kernel -kernel 6.1 would take
  switchyard kernels get 6.1,6.12    fetch them now
  switchyard kernels build 6.6       build one that nobody ships`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, args []string) error { return cmd.Help() },
	}
	cmd.AddCommand(kernelsListCommand(), kernelsGetCommand(), kernelsBuildCommand())
	return cmd
}

// listedKernel is a line of `kernels list -json`.
type listedKernel struct {
	Release    string `json:"release"`
	Version    string `json:"version"`
	Source     string `json:"source"`
	Flavour    string `json:"flavour"`
	Cached     bool   `json:"cached"`
	Bytes      int64  `json:"bytes"`
	HasHeaders bool   `json:"has_headers"`
}

func kernelsListCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list [SELECTOR]",
		Short: "List the kernels at hand and to be had",
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
			if asJSON {
				return printKernelsJSON(cmd, found)
			}
			printKernels(cmd, found)
			return nil
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printKernelsJSON(cmd *cobra.Command, found []kernels.Candidate) error {
	list := make([]listedKernel, 0, len(found))
	for _, c := range found {
		list = append(list, listedKernel{c.Release, c.Version, c.Source, c.Flavour, c.Cached, c.Bytes, c.HasHeaders})
	}
	e := json.NewEncoder(cmd.OutOrStdout())
	e.SetIndent("", "  ")
	return e.Encode(list)
}

func printKernels(cmd *cobra.Command, found []kernels.Candidate) {
	t := table.NewWriter()
	t.SetOutputMirror(cmd.OutOrStdout())
	t.SetStyle(table.StyleLight)
	t.Style().Options = table.OptionsNoBordersAndSeparators
	t.AppendHeader(table.Row{"release", "version", "source", "headers", "here", "download"})
	for _, c := range found {
		size := "-"
		if c.Bytes > 0 {
			size = humanize.Bytes(uint64(c.Bytes))
		}
		t.AppendRow(table.Row{c.Release, c.Version, c.Source, yesNo(c.HasHeaders), yesNo(c.Cached), size})
	}
	t.Render()
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func kernelsGetCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "get SELECTOR",
		Short: "Fetch kernels into the cache",
		Args:  oneArgument("a kernel, such as 6.12"),
		RunE: func(cmd *cobra.Command, args []string) error {
			y, done, err := openYard(cmd, run.Options{})
			if err != nil {
				return err
			}
			defer done()
			found, err := y.Catalogue.Select(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			for _, c := range found {
				kit, err := y.Catalogue.Get(cmd.Context(), c)
				if err != nil {
					return err
				}
				fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", kit.Release, kit.Dir)
			}
			return nil
		},
	}
}

// oneArgument wants exactly one argument, what.
func oneArgument(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != 1 {
			return usageError{fmt.Errorf("%s takes %s, and got %d arguments; see `%[1]s -help`", cmd.CommandPath(), what, len(args))}
		}
		return nil
	}
}

func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%s: unknown argument %q", cmd.CommandPath(), args[0])}
	}
	return nil
}
