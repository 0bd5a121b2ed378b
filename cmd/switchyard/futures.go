// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/switchyard-project/switchyard/harness/run"
)

// futuresFlag is -futures of `switchyard run`.
type futuresFlag struct{ text string }

func (f *futuresFlag) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.text, "futures", "", "if a transition stalls, what to try to free it, as name,…, each in a fork of that moment; there are "+strings.Join(run.FutureNames(), ", "))
	_ = cmd.RegisterFlagCompletionFunc("futures", completeFutures)
	cmd.Example += "\n" + futuresExample
}

const futuresExample = `  switchyard run fix/ -kernel 6.1 -futures signal,wake,revert   what would free it, if it stalls`

// names are the futures asked for, each once, in their order; nil for none.
func (f *futuresFlag) names(deterministic bool) ([]string, error) {
	if f.text == "" {
		return nil, nil
	}
	if deterministic {
		return nil, usageError{errors.New("-futures forks a guest in the middle of a run, which nobody can talk to in a deterministic one: leave one of the two away")}
	}
	names := []string{}
	for name := range strings.SplitSeq(f.text, ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(run.FutureNames(), name) {
			return nil, usageError{fmt.Errorf("-futures %s: there is no future %q; there are %s", f.text, name, strings.Join(run.FutureNames(), ", "))}
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names, nil
}

// completeFutures completes the last name of the list.
func completeFutures(_ *cobra.Command, _ []string, text string) ([]string, cobra.ShellCompDirective) {
	before := text[:strings.LastIndexByte(text, ',')+1]
	var all []string
	for _, name := range run.FutureNames() {
		if !slices.Contains(strings.Split(before, ","), name) {
			all = append(all, before+name)
		}
	}
	return all, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
}
