// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"github.com/switchyard-project/switchyard/harness/matrix"
	"github.com/switchyard-project/switchyard/harness/report"
)

func reportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "report",
		Short:   "What to do with reports",
		Example: "  switchyard report merge artifacts/ -o report.json -junit junit.xml -summary summary.md",
		Args:    noArguments,
		RunE:    func(cmd *cobra.Command, args []string) error { return cmd.Help() },
	}
	cmd.AddCommand(reportMergeCommand())
	return cmd
}

// mergeFlags are the flags of `switchyard report merge`.
type mergeFlags struct{ out, junit, summary, plan string }

func reportMergeCommand() *cobra.Command {
	var f mergeFlags
	cmd := &cobra.Command{
		Use:   "merge DIR",
		Short: "Join reports and logs of go test -json",
		Long: `Join all report.json files and all outputs of "go test -json" (*.json, *.jsonl,
*.log) that lie below a folder. Without a file to write, the summary is printed.
The exit status is 1 if anything in them is not as expected.`,
		Example: `  switchyard report merge artifacts/                      the summary, as Markdown
  switchyard report merge artifacts/ -o report.json -junit junit.xml -summary summary.md
  switchyard report merge artifacts/ -plan matrix.json    and tell which pieces left nothing`,
		Args: oneArgument("a folder"),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	cmd.Flags().StringVarP(&f.out, "output", "o", "", "file for the merged report")
	cmd.Flags().StringVar(&f.junit, "junit", "", "file for JUnit XML")
	cmd.Flags().StringVar(&f.summary, "summary", "", "file for a Markdown table of cases and kernels, $GITHUB_STEP_SUMMARY for one")
	cmd.Flags().StringVar(&f.plan, "plan", "", "what `switchyard matrix -json` said: cases of it without a result are told, and fail")
	return cmd
}

func (f *mergeFlags) run(cmd *cobra.Command, dir string) error {
	merged, err := report.Merge(dir, f.out, f.plan)
	if err != nil {
		return err
	}
	if f.plan != "" {
		var m matrix.Matrix
		text, err := os.ReadFile(f.plan)
		if err == nil {
			err = json.Unmarshal(text, &m)
		}
		if err != nil {
			return usageError{fmt.Errorf("-plan %s: %w", f.plan, err)}
		}
		merged.Expect(m.Plan())
	}
	if f.out != "" {
		if err := merged.Save(f.out); err != nil {
			return err
		}
	}
	if f.junit != "" {
		var xml bytes.Buffer
		if err := merged.WriteJUnit(&xml); err != nil {
			return fmt.Errorf("-junit: %w", err)
		}
		if err := renameio.WriteFile(f.junit, xml.Bytes(), 0o644); err != nil {
			return fmt.Errorf("-junit: %w", err)
		}
	}
	var summary bytes.Buffer
	merged.WriteSummary(&summary)
	switch {
	case f.summary != "":
		// Not by renaming: the file may be a CI system's own.
		if err := os.WriteFile(f.summary, summary.Bytes(), 0o644); err != nil {
			return fmt.Errorf("-summary: %w", err)
		}
	case f.out == "" && f.junit == "":
		if _, err := cmd.OutOrStdout().Write(summary.Bytes()); err != nil {
			return err
		}
	}
	if !merged.AsExpected() {
		fmt.Fprintln(cmd.ErrOrStderr(), "switchyard: not everything in these reports is as expected")
		return errUnexpected
	}
	return nil
}
