// SPDX-License-Identifier: Apache-2.0

// Command switchyard tests Linux kernel live patches end to end. It is thin:
// flags in, harness/run, report out; one file a verb.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/hashicorp/go-multierror"
	"github.com/spf13/cobra"

	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/patch/refusal"
	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/harness/report/bundle"
	"github.com/switchyard-project/switchyard/harness/report/compare"
	"github.com/switchyard-project/switchyard/harness/selftests"
	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/source"
)

// Exit statuses, a contract with scripts.
const (
	exitOK          = 0
	exitUnexpected  = 1   // a verdict is not as expected, or the run itself broke
	exitInput       = 2   // what the user gave is wrong
	exitLacking     = 3   // this machine lacks something
	exitUntold      = 125 // compare cannot tell: git bisect run skips the revision
	exitInterrupted = 130 // Ctrl-C, and all is cleaned up
)

// errInterrupted is the cause with which a signal cancels everything.
var errInterrupted = errors.New("interrupted")

// errUnexpected ends a command whose report has been shown already.
var errUnexpected = errors.New("not every verdict is as expected")

// errRefused ends a command whose report says which diffs cannot be live
// patches, and why.
var errRefused = errors.New("a diff cannot be a live patch")

// usageError is a mistake on the command line.
type usageError struct{ error }

func main() { os.Exit(realMain(os.Args[1:])) }

func realMain(args []string) int {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		<-signals
		cancel(errInterrupted)
		<-signals // a second one does not wait for the clean-up; the guards do it
		os.Exit(exitInterrupted)
	}()
	root := newRoot()
	root.SetArgs(normalise(args))
	err := root.ExecuteContext(ctx)
	if err != nil && errors.Is(context.Cause(ctx), errInterrupted) {
		fmt.Fprintln(os.Stderr, "switchyard: interrupted; everything it had started is stopped and removed")
		return exitInterrupted
	}
	return exitStatus(err)
}

// exitStatus prints err, if need be, and gives the status for it.
func exitStatus(err error) int {
	var (
		build *patch.BuildError
		usage usageError
	)
	if err == nil || errors.Is(err, errUnexpected) || errors.Is(err, errUntold) || errors.Is(err, errRefused) {
		return statusOf(err)
	}
	// multierror's list is for several.
	if all, ok := err.(*multierror.Error); ok && len(all.Errors) == 1 {
		err = all.Errors[0]
	}
	// What was read may be in it: of a stranger's bundle, of a module.
	stderr := report.Plain(os.Stderr)
	fmt.Fprintf(stderr, "switchyard: %v\n", err)
	switch {
	case errors.As(err, &build):
		fmt.Fprintf(stderr, "%s\n", build.Log)
	case statusOf(err) == exitInput && errors.As(err, &usage):
		fmt.Fprintln(os.Stderr, "`switchyard help` shows examples")
	}
	return statusOf(err)
}

// statusOf is the status for err, by its type; exitUnexpected for one that has
// none of its own.
func statusOf(err error) int {
	var (
		lacking *kernels.Lacking
		noMatch *kernels.NoMatchError
		badName *kernels.SelectorError
		input   *patch.InputError
		build   *patch.BuildError
		format  *report.FormatError
		tree    *source.InputError
		broken  *source.BuildError
		refused *refusal.Refusal
		script  *selftests.NoScriptError
		bad     *bundle.Error
		unlike  *compare.InputError
		usage   usageError
		other   *statusError
	)
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errUnexpected):
		return exitUnexpected
	case errors.Is(err, errUntold):
		return exitUntold
	case errors.Is(err, errRefused):
		return exitInput
	case errors.As(err, &other):
		return other.status
	case errors.As(err, &build), errors.As(err, &input), errors.As(err, &noMatch), errors.As(err, &badName), errors.As(err, &format), errors.As(err, &tree), errors.As(err, &broken), errors.As(err, &refused), errors.As(err, &script), errors.As(err, &bad), errors.As(err, &unlike), errors.As(err, &usage):
		return exitInput
	case errors.As(err, &lacking):
		return exitLacking
	}
	return exitUnexpected
}

// statusError is an error whose status its command knows better than its type
// does.
type statusError struct {
	error
	status int
}

func (e *statusError) Unwrap() error { return e.error }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "switchyard",
		Short: "End-to-end tests for Linux kernel live patches",
		Example: `  switchyard run fix/ -kernel 6.1,6.12           test a patch folder on two kernels
  switchyard run fix.patch -kernel 6.1,6.12       a diff against the kernel's source, as it is
  switchyard run fix.ko -kernel 6.1 -load fork=4  a built module, under a fork storm
  switchyard kernels list                         what there is to test on
  switchyard patch build fix.patch -kernel 6.12 -o fix.ko
  switchyard shell -kernel 6.1                    a VM to look around in
  switchyard selftests -kernel 6.12               the kernel's own livepatch tests, as they are
  switchyard repro bundle.tar.zst                 what went wrong there, again, here
  switchyard minimize bundle.tar.zst              the least that still goes wrong
  switchyard doctor                               what this machine can do, and what is missing`,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usageError{fmt.Errorf("unknown command %q", args[0])}
			}
			return cmd.Help()
		},
		Args: cobra.ArbitraryArgs,
	}
	root.SetHelpTemplate(helpTemplate)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(runCommand(), selftestsCommand(), reproCommand(), minimizeCommand(), compareCommand(), kernelsCommand(), patchCommand(), shellCommand(), matrixCommand(), reportCommand(), doctorCommand(), cacheCommand())
	return root
}
