// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"github.com/switchyard-project/switchyard/harness/matrix"
	"github.com/switchyard-project/switchyard/harness/report"
)

func reportCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "report DIR",
		Short: "Make the reports of a run from its logs again, or merge reports",
		Long: `Compute the reports of a run from the logs in its artifacts folder, print the
text one, and write all of them there: report.json, report.txt, report.html,
junit.xml, and for each kernel a trace.json that ui.perfetto.dev opens. They are
what the run wrote itself, to the byte; of a run that was killed they tell what
it had seen, and where it was cut off.
The exit status is 1 if anything in them is not as expected, and 2 if the log of
a run cannot be read: then they are of the others.`,
		Example: `  switchyard report artifacts/
  switchyard report artifacts/ -o elsewhere/
  switchyard report merge artifacts/ -o report.json -junit junit.xml -summary summary.md`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil // help
			}
			return oneArgument("the artifacts folder of a run")(cmd, args)
		},
	}
	var f againFlags
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		return f.run(cmd, args[0])
	}
	cmd.Flags().StringVarP(&f.out, "output", "o", "", "folder for the reports (default: the artifacts folder)")
	cmd.Flags().StringVar(&f.format, "format", "text", "what to print: text or json")
	cmd.AddCommand(reportMergeCommand())
	return cmd
}

// againFlags are the flags of `switchyard report DIR`.
type againFlags struct{ out, format string }

func (f *againFlags) run(cmd *cobra.Command, dir string) error {
	if f.format != "text" && f.format != "json" {
		return usageError{fmt.Errorf("-format %s: must be text or json", f.format)}
	}
	r, unread := report.FromFolder(dir)
	if len(r.Runs) == 0 && unread != nil {
		return unread
	}
	if f.out != "" {
		if err := makeDir("-o", f.out); err != nil {
			return err
		}
	}
	if err := r.SaveAll(cmp.Or(f.out, dir)); err != nil {
		return err
	}
	err := unread // of some of them: what the others tell is shown
	if f.format == "json" {
		err = errors.Join(err, r.WriteJSON(cmd.OutOrStdout()))
	} else {
		r.WriteText(cmd.OutOrStdout())
	}
	if err == nil && !r.AsExpected() {
		err = errUnexpected
	}
	return err
}

// mergeFlags are the flags of `switchyard report merge`.
type mergeFlags struct{ out, junit, html, summary, plan string }

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
	cmd.Flags().StringVar(&f.html, "html", "", "file for a page of the runs")
	cmd.Flags().StringVar(&f.summary, "summary", "", "file for a Markdown table of cases and kernels, $GITHUB_STEP_SUMMARY for one")
	cmd.Flags().StringVar(&f.plan, "plan", "", "what `switchyard matrix -json` said: cases of it without a result are told, and fail")
	return cmd
}

func (f *mergeFlags) run(cmd *cobra.Command, dir string) error {
	for _, file := range [][2]string{{"-o", f.out}, {"-junit", f.junit}, {"-html", f.html}} {
		if file[1] == "" {
			continue
		}
		if err := checkFile(file[0], file[1]); err != nil {
			return err
		}
	}
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
	if f.html != "" {
		var page bytes.Buffer
		if err := merged.WriteHTML(&page); err != nil {
			return fmt.Errorf("-html: %w", err)
		}
		if err := renameio.WriteFile(f.html, page.Bytes(), 0o644); err != nil {
			return fmt.Errorf("-html: %w", err)
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
	case f.out == "" && f.junit == "" && f.html == "":
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
