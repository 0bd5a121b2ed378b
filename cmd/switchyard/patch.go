// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/run"
)

func patchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "patch",
		Short:   "Work on a patch without booting anything",
		Example: "  switchyard patch build fix/ -kernel 6.12 -o fix.ko",
		Args:    noArguments,
		RunE:    func(cmd *cobra.Command, args []string) error { return cmd.Help() },
	}
	cmd.AddCommand(patchBuildCommand())
	return cmd
}

func patchBuildCommand() *cobra.Command {
	var kernel, out string
	var route routeFlag
	cmd := &cobra.Command{
		Use:     "build PATCH",
		Short:   "Build the module for one kernel",
		Example: "  switchyard patch build fix/ -kernel 6.12 -o fix.ko",
		Args:    oneArgument("one patch"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if kernel == "" {
				return usageError{fmt.Errorf("patch build needs -kernel, the kernel to build for")}
			}
			src, err := patch.Open(args[0])
			if err != nil {
				return err
			}
			y, done, err := openYard(cmd, run.Options{Route: route.route})
			if err != nil {
				return err
			}
			defer done()
			found, err := y.Catalogue.Select(cmd.Context(), kernel)
			if err != nil {
				return err
			}
			if len(found) != 1 {
				return usageError{fmt.Errorf("-kernel %s names %d kernels; a module is for one", kernel, len(found))}
			}
			kit, err := y.Catalogue.Get(cmd.Context(), found[0])
			if err != nil {
				return err
			}
			m, err := y.Builder.Build(cmd.Context(), src, kit)
			if err != nil {
				return err
			}
			if out == "" {
				out = m.Name + ".ko"
			}
			if err := copyWhole(m.Path, out); err != nil {
				return fmt.Errorf("write %s: %w", out, err)
			}
			done()
			for _, w := range m.Manifest.Warnings {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: warning: %s\n", out, w)
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s for %s (%s) patches:\n", out, kit.Release, m.Manifest.BuiltBy())
			for _, f := range m.Manifest.Functions {
				fmt.Fprintf(cmd.OutOrStdout(), "  %s:%s\n", f.Object, f.Name)
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&kernel, "kernel", "", "the kernel to build for, such as 6.12")
	route.register(cmd)
	cmd.Flags().StringVarP(&out, "output", "o", "", "the file to write (default: NAME.ko)")
	return cmd
}

// copyWhole writes to under its name only once all of it is there.
func copyWhole(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	f, err := renameio.NewPendingFile(to, renameio.WithPermissions(0o644))
	if err != nil {
		return err
	}
	defer f.Cleanup()
	if _, err := io.Copy(f, in); err != nil {
		return err
	}
	return f.CloseAtomicallyReplace()
}
