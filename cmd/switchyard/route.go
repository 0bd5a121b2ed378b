// SPDX-License-Identifier: Apache-2.0

package main

import (
	"github.com/spf13/cobra"

	"github.com/switchyard-project/switchyard/harness/patch"
)

// routeFlag is -route, the back end that makes modules of C sources. What it
// does not know is told while the command line is parsed.
type routeFlag struct{ route patch.Route }

func (f *routeFlag) register(cmd *cobra.Command) {
	cmd.Flags().Var(f, "route", "how modules are built: kbuild (needs the kernel's headers), btf (from its image alone) or auto")
	_ = cmd.RegisterFlagCompletionFunc("route", cobra.FixedCompletions([]string{"auto", "kbuild", "btf"}, cobra.ShellCompDirectiveNoFileComp))
}

// String is the flag's value, for pflag.
func (f *routeFlag) String() string {
	if f.route == patch.RouteAuto {
		return "auto"
	}
	return string(f.route)
}

// Set reads the flag's value, for pflag.
func (f *routeFlag) Set(text string) (err error) {
	f.route, err = patch.ParseRoute(text)
	return err
}

// Type names the flag's kind in a usage text, for pflag.
func (f *routeFlag) Type() string { return "string" }
