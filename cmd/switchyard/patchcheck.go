// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/spf13/cobra"

	"github.com/switchyard-project/switchyard/harness/patch/diff"
	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/harness/run"
	"github.com/switchyard-project/switchyard/kernels"
)

func patchCheckCommand() *cobra.Command {
	var kernel string
	var diffs diffFlags
	cmd := &cobra.Command{
		Use:   "check DIFF",
		Short: "Say what a diff would patch in one kernel, and whether the kernel has it",
		Long: `Say what a diff would patch in one kernel. Each function that it changes is
compiled as it is in the kernel's source and compared with the kernel's image:
a live patch holds only where both are the same, byte for byte but for what
the linker and the booting kernel fill in. Exit status 2 if the diff cannot be
a live patch.`,
		Example: `  switchyard patch check fix.patch -kernel 6.12`,
		Args:    oneArgument("one diff"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if kernel == "" {
				return usageError{fmt.Errorf("patch check needs -kernel, the kernel to check against")}
			}
			src, err := diffs.open(args[0])
			if err != nil {
				return err
			}
			return onKernel(cmd, kernel, run.Options{}, func(y *run.Yard, kit *kernels.Kit, done func()) error {
				checked, err := y.Builder.Check(cmd.Context(), src, kit)
				done()
				if checked == nil {
					return err
				}
				for _, n := range checked.Made.Notes {
					fmt.Fprintln(cmd.ErrOrStderr(), n)
				}
				for _, w := range checked.Made.Warnings {
					fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", w)
				}
				printChecked(cmd.OutOrStdout(), checked)
				return err
			})
		},
	}
	cmd.Flags().StringVar(&kernel, "kernel", "", "the kernel to check against, such as 6.12")
	diffs.register(cmd)
	return cmd
}

// printChecked prints a row for each function that the diff changes.
func printChecked(w io.Writer, checked *diff.Checked) {
	if len(checked.Functions) == 0 {
		return
	}
	t := report.NewTable(w)
	t.AppendHeader(table.Row{"object", "function", "file", "at", "kernel and source"})
	for _, f := range checked.Functions {
		address, result := "-", "the same"
		if f.Address != 0 {
			address = fmt.Sprintf("%#x", f.Address)
		}
		if !f.OK() {
			result = fmt.Sprintf("differ at +%#x: %s", f.Offset, f.Why)
		}
		t.AppendRow(table.Row{f.Object, f.Name, f.Unit, address, result})
	}
	t.Render()
}
