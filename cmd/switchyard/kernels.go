// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/switchyard-project/switchyard/harness/run"
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
