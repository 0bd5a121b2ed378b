// SPDX-License-Identifier: Apache-2.0

package main

import "github.com/spf13/cobra"

// callsFlag says whether the calls of patched functions are seen.
type callsFlag struct{ calls bool }

func (f *callsFlag) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.calls, "calls", true, "see by function tracing which calls of the patched functions ran old code and which new")
}
