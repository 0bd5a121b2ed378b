// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/switchyard-project/switchyard/harness/run"
	"github.com/switchyard-project/switchyard/kernels/source"
)

func kernelsBuildCommand() *cobra.Command {
	var spec source.Spec
	cmd := &cobra.Command{
		Use:   "build [VERSION]",
		Short: "Build a kernel from a release tarball or a source tree",
		Example: `  switchyard kernels build 6.6                              the newest 6.6 of $` + source.MirrorVariable + ` or kernel.org
  switchyard kernels build 6.6 -fragment debug              with KASAN and lockdep: 6.6+debug
  switchyard kernels build -tree ~/linux -name mine         a tree of yours: -kernel 6.6+mine
  switchyard kernels build -tarball linux-6.6.3.tar.xz -config /boot/config-6.6.3
  switchyard kernels build 6.6 -fragment modules -fragment my.config`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usageError{fmt.Errorf("kernels build takes one version")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				spec.Version = args[0]
			}
			y, done, err := openYard(cmd, run.Options{})
			if err != nil {
				return err
			}
			defer done()
			kit, err := y.Source.Build(cmd.Context(), spec)
			if err != nil {
				return err
			}
			done()
			fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", kit.Release, kit.Dir)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&spec.Tree, "tree", "", "source tree to build; changes in it make another kernel")
	f.StringVar(&spec.Tarball, "tarball", "", "source tarball to build")
	f.StringVar(&spec.Config, "config", "", "a whole .config instead of our small one")
	f.StringArrayVar(&spec.Fragments, "fragment", nil, "options to merge over it, a file or one of "+strings.Join(source.Fragments(), ", ")+" (repeatable)")
	f.StringVar(&spec.Label, "name", "", "name to select the kernel by: 6.6+NAME (default: from the files' names)")
	return cmd
}
