// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/switchyard-project/switchyard/harness/patch"
)

// diffFlags say how diffs are meant, in the words of patch(1) where it has
// them.
type diffFlags struct {
	reverse, replace bool
	level            string
}

func (f *diffFlags) register(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&f.reverse, "reverse", "R", false, "take the diffs' changes out, as patch -R")
	cmd.Flags().StringVarP(&f.level, "strip", "p", "", "levels to take from the names in diffs, as patch -p (default: found by the source's files)")
	cmd.Flags().BoolVar(&f.replace, "replace", false, "modules of diffs replace all patches before them; each diff is against the kernel's own source")
}

// options are the flags as package patch takes them; patches are the arguments
// that they are about.
func (f *diffFlags) options(patches []string) (o patch.DiffOptions, err error) {
	o = patch.DiffOptions{Reverse: f.reverse, Replace: f.replace}
	if f.level != "" {
		n, err := strconv.Atoi(f.level)
		if err != nil || n < 0 {
			return o, usageError{fmt.Errorf("-p %s: must be a number of levels", f.level)}
		}
		o.Level = &n
	}
	if o != (patch.DiffOptions{}) && !slices.ContainsFunc(patches, isDiff) {
		return o, usageError{fmt.Errorf("-R, -p and -replace are about diffs (.patch, .diff), and %s is none", strings.Join(patches, ", "))}
	}
	return o, nil
}

// open opens the one patch that a verb takes, as the flags mean it.
func (f *diffFlags) open(path string) (*patch.Source, error) {
	o, err := f.options([]string{path})
	if err != nil {
		return nil, err
	}
	return patch.OpenAs(path, o)
}

func isDiff(path string) bool {
	return strings.HasSuffix(path, ".patch") || strings.HasSuffix(path, ".diff")
}
