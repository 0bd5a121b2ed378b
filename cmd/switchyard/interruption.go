// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/spf13/cobra"
)

// interruptionFlag is -interruption of `switchyard run`.
type interruptionFlag struct{ interruption bool }

func (f *interruptionFlag) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.interruption, "interruption", true, "measure how long anybody is interrupted, before, during and after; not with -seeds unless asked for")
}

// settle leaves the measurement out of a search, which is for verdicts and
// would take several times as long.
func (f *interruptionFlag) settle(cmd *cobra.Command, seeds int) {
	if seeds > 0 && !cmd.Flags().Changed("interruption") {
		f.interruption = false
	}
}

// words are the flag for a command line that does a run again: what was measured
// is part of what a seed repeats.
func (f *interruptionFlag) words() []string {
	if f.interruption {
		return nil
	}
	return []string{"-interruption=false"}
}
