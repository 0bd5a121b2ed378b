// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/hashicorp/go-multierror"
	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/kernels/store"
)

func cacheCommand() *cobra.Command {
	var deep bool
	cmd := &cobra.Command{
		Use:   "cache",
		Short: "Show and prune what was fetched and built",
		Example: `  switchyard cache                    what is kept, and how much
  switchyard cache -verify            read every file again and compare
  switchyard cache prune -older 720h  remove what nobody has used for a month
  switchyard cache prune              remove everything`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, args []string) error { return showCache(cmd, deep) },
	}
	cmd.Flags().BoolVar(&deep, "verify", false, "hash every file and name what is damaged")
	cmd.AddCommand(cachePruneCommand())
	return cmd
}

func showCache(cmd *cobra.Command, deep bool) error {
	st, err := store.Open("")
	if err != nil {
		return err
	}
	entries, err := st.Entries(deep)
	if err != nil {
		return err
	}
	t := report.NewTable(cmd.OutOrStdout())
	t.AppendHeader(table.Row{"kind", "name", "size", "made", "state"})
	var total int64
	var broken *multierror.Error
	for _, e := range entries {
		state := "whole"
		if e.Broken != nil {
			state = "damaged, will be made again"
			broken = multierror.Append(broken, e.Broken)
		}
		total += e.Bytes
		t.AppendRow(table.Row{e.Kind, e.Name, humanize.Bytes(uint64(e.Bytes)), e.Made.Format(time.DateTime), state})
	}
	t.Render()
	fmt.Fprintf(cmd.OutOrStdout(), "%s in %s\n", humanize.Bytes(uint64(total)), st.Dir)
	return broken.ErrorOrNil()
}

func cachePruneCommand() *cobra.Command {
	var older time.Duration
	cmd := &cobra.Command{
		Use:   "prune",
		Short: "Remove entries from the cache",
		Args:  noArguments,
		RunE: func(cmd *cobra.Command, args []string) error {
			st, err := store.Open("")
			if err != nil {
				return err
			}
			st.Waiting = func(entry string) {
				fmt.Fprintf(cmd.ErrOrStderr(), "waiting for another process, which is making %s\n", entry)
			}
			entries, err := st.Entries(false)
			if err != nil {
				return err
			}
			freed := st.RemoveAbandoned()
			var errs *multierror.Error
			for _, e := range entries {
				removed, err := st.RemoveUnused(cmd.Context(), e, older)
				if err != nil {
					errs = multierror.Append(errs, err)
				}
				if removed {
					freed += e.Bytes
				}
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s freed in %s\n", humanize.Bytes(uint64(freed)), st.Dir)
			return errs.ErrorOrNil()
		},
	}
	cmd.Flags().DurationVar(&older, "older", 0, "only what was not used for this long")
	return cmd
}
