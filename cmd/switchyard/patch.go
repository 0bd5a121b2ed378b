// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/patch/btf"
	"github.com/switchyard-project/switchyard/harness/run"
	"github.com/switchyard-project/switchyard/kernels"
)

func patchCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "patch",
		Short: "Work on a patch without booting anything",
		Example: `  switchyard patch build fix.patch -kernel 6.12 -o fix.ko
  switchyard patch check fix.patch -kernel 6.12
  switchyard patch count vfs_read -kernel 6.12 -o calls.ko`,
		Args: noArguments,
		RunE: func(cmd *cobra.Command, args []string) error { return cmd.Help() },
	}
	cmd.AddCommand(patchBuildCommand(), patchCheckCommand(), patchInstrumentCommand(btf.Count), patchInstrumentCommand(btf.Time))
	return cmd
}

// onKernel opens a yard and does something for the one kernel that -kernel
// names. done closes the screen, before anything is written to the terminal's
// standard output.
func onKernel(cmd *cobra.Command, kernel string, o run.Options, do func(y *run.Yard, kit *kernels.Kit, done func()) error) error {
	y, done, err := openYard(cmd, o)
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
	return do(y, kit, done)
}

func patchBuildCommand() *cobra.Command {
	var kernel, out string
	var route routeFlag
	var diffs diffFlags
	cmd := &cobra.Command{
		Use:   "build PATCH",
		Short: "Build the module for one kernel",
		Long: `Build the module of a patch for one kernel: of a unified diff against the
kernel's source (.patch, .diff), a folder with C sources or a .c file.`,
		Example: `  switchyard patch build fix.patch -kernel 6.12 -o fix.ko
  switchyard patch build fix.patch -R -kernel 6.12   the module that takes the fix out
  switchyard patch build fix/ -kernel 6.12`,
		Args: oneArgument("one patch"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if kernel == "" {
				return usageError{fmt.Errorf("patch build needs -kernel, the kernel to build for")}
			}
			if out != "" {
				if err := checkFile("-o", out); err != nil {
					return err
				}
			}
			src, err := diffs.open(args[0])
			if err != nil {
				return err
			}
			return onKernel(cmd, kernel, run.Options{Route: route.route}, func(y *run.Yard, kit *kernels.Kit, done func()) error {
				return buildModule(cmd, y, src, kit, out, done)
			})
		},
	}
	cmd.Flags().StringVar(&kernel, "kernel", "", "the kernel to build for, such as 6.12")
	route.register(cmd)
	diffs.register(cmd)
	cmd.Flags().StringVarP(&out, "output", "o", "", "the file to write (default: NAME.ko)")
	return cmd
}

// buildModule builds src, writes the module to out ("": NAME.ko) and says what
// it patches; done as in onKernel.
func buildModule(cmd *cobra.Command, y *run.Yard, src *patch.Source, kit *kernels.Kit, out string, done func()) error {
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
	if m.Manifest.Diff != nil {
		for _, n := range m.Manifest.Diff.Notes {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", out, n)
		}
	}
	for _, w := range m.Manifest.Warnings {
		fmt.Fprintf(cmd.ErrOrStderr(), "%s: warning: %s\n", out, w)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s for %s (%s) patches:\n", out, kit.Release, m.Manifest.BuiltBy())
	for _, f := range m.Manifest.Functions {
		fmt.Fprintf(cmd.OutOrStdout(), "  %s:%s\n", f.Object, f.Name)
	}
	return nil
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
