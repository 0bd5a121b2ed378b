// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/patch/btf"
	"github.com/switchyard-project/switchyard/harness/run"
	"github.com/switchyard-project/switchyard/kernels"
)

// instrumentWords are what the two verbs say of themselves.
var instrumentWords = map[btf.Instrument]struct{ short, long string }{
	btf.Count: {"Build a live patch that counts the calls of functions", `Build a live patch that counts the calls of functions and leaves them as they
are. It needs the kernel's image alone and no source: any function can be
counted that can be live patched at all.`},
	btf.Time: {"Build a live patch that times functions, from entry to exit", `Build a live patch that counts the calls of functions and measures how long they
take, from entry to exit, sleeping included. It needs the kernel's image alone
and no source. A function that may get arguments on the stack is refused, and so
is one of which the image does not tell the parameters. Calls under way when
the patch is reverted hold the transition up until they end.`},
}

func patchInstrumentCommand(what btf.Instrument) *cobra.Command {
	var kernel, out string
	words := instrumentWords[what]
	cmd := &cobra.Command{
		Use:   string(what) + " FUNC...",
		Short: words.short,
		Long: words.long + `

FUNC is NAME, MODULE:NAME for a function of a module, or NAME/2 for the second
of several of that name. A run reports what was measured until the revert; it
takes the module as well as the name of the instrument, which is built for each
kernel.`,
		Example: fmt.Sprintf(`  switchyard patch %[1]s vfs_read fat:fat_alloc_clusters -kernel 6.12 -o calls.ko
  switchyard run calls.ko -kernel 6.12
  switchyard run %[1]s:vfs_read,vfs_write -kernel 5.10,6.1,6.12,7.3`, what),
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usageError{fmt.Errorf("patch %s takes the names of functions; see `switchyard patch %[1]s -help`", what)}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			if kernel == "" {
				return usageError{fmt.Errorf("patch %s needs -kernel, the kernel to build for", what)}
			}
			if out != "" {
				if err := checkFile("-o", out); err != nil {
					return err
				}
			}
			src, err := patch.Open(patch.InstrumentPath(what, args))
			if err != nil {
				return err
			}
			return onKernel(cmd, kernel, run.Options{}, func(y *run.Yard, kit *kernels.Kit, done func()) error {
				return buildModule(cmd, y, src, kit, out, done)
			})
		},
	}
	cmd.Flags().StringVar(&kernel, "kernel", "", "the kernel to build for, such as 6.12")
	cmd.Flags().StringVarP(&out, "output", "o", "", "the file to write (default: NAME.ko)")
	return cmd
}
