// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"al.essio.dev/pkg/shellescape"
	"github.com/spf13/cobra"

	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/harness/run"
)

// recordFlag is -record of `switchyard run`.
type recordFlag struct{ record bool }

const recordExample = `  switchyard run fix/ -kernel 6.12 -record -artifacts out   keep what ` + "`switchyard repro out`" + ` replays`

func (f *recordFlag) register(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.record, "record", false, "keep a log by which switchyard repro replays the run, instruction by instruction (one vCPU, emulated, booted)")
	cmd.Example += "\n" + recordExample
}

// reproFlags are the flags of `switchyard repro`.
type reproFlags struct {
	reproBundleFlags
	qemu, gdb, artifacts string
	stopAt               int64
}

func reproCommand() *cobra.Command {
	var f reproFlags
	cmd := &cobra.Command{
		Use:   "repro BUNDLE|DIR",
		Short: "Do a run again from its bundle, or replay a recorded one",
		Long: `Do the run of a bundle again: its modules as they are, on its kernel, which is
fetched if need be, with its machine, loads and seed. Say whether the same
verdict came again, by the same kind of task, for the same reason, in the same
function. The exit status is 0 if it did (with -repeat: at least once) and 1 if
another did. A bundle may be a stranger's: nothing of it runs outside of the
guest, unless -rebuild has its sources compiled, in the tool root.

Or replay a run that was recorded (run -record) from its artifacts, instruction
by instruction, and say whether it came to the same end: the same bytes on the
console, the same results.`,
		Example: `  switchyard repro bundle.tar.zst
  switchyard repro bundle.tar.zst -repeat 20      of one that is a race: how often it comes
  switchyard repro out                            a recorded run, instruction by instruction
  switchyard repro out -gdb tcp:localhost:1234    stopped before the first instruction, for gdb
  switchyard repro out -stop-at 1660000000        to that instruction; recording.json has marks`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usageError{errors.New("repro takes a bundle, or the artifacts folder of a run with -record")}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args[0]) },
	}
	f.reproBundleFlags.register(cmd)
	cmd.Flags().StringVar(&f.qemu, "qemu", "", "QEMU to use: host, tool or a path; of a recording its version must be that one's")
	cmd.Flags().StringVar(&f.gdb, "gdb", "", "wait for gdb there before the first instruction: tcp:HOST:PORT or unix:PATH")
	cmd.Flags().Int64Var(&f.stopAt, "stop-at", 0, "stand still after that many instructions and show where; with -gdb, gdb is told")
	cmd.Flags().StringVar(&f.artifacts, "artifacts", "", "folder for what it leaves itself (default: one in the cache, if the end is another)")
	return cmd
}

func (f *reproFlags) run(cmd *cobra.Command, path string) error {
	debugger, err := f.debugger()
	if err != nil {
		return err
	}
	if f.stopAt < 0 {
		return usageError{fmt.Errorf("-stop-at %d: must be a number of instructions", f.stopAt)}
	}
	if err := f.reproBundleFlags.check(); err != nil {
		return err
	}
	found, recorded, err := toRepeat(path)
	if err != nil {
		return err
	}
	if !recorded {
		return f.bundle(cmd, found, debugger)
	}
	if err := f.forRecordings(cmd); err != nil {
		return err
	}
	return f.replayed(cmd, run.Replay{Dir: found, Debugger: debugger, StopAt: f.stopAt})
}

// replayed replays a recording.
func (f *reproFlags) replayed(cmd *cobra.Command, r run.Replay) error {
	machine := machineFlags{accel: "tcg", qemu: f.qemu, mem: run.DefaultMemMiB, bootTimeout: run.DefaultBootTimeout}
	if err := machine.check(); err != nil {
		return err
	}
	scr := newScreen(cmd.ErrOrStderr())
	y, done, err := openYardOn(scr, run.Options{QEMU: f.qemu, Accel: "tcg"})
	if err != nil {
		return err
	}
	defer done()
	out, drop, err := artifactsDir(y, f.artifacts, "repro")
	if err != nil {
		return err
	}
	w := cmd.OutOrStdout()
	r.Out = out
	r.Waiting = func(vmlinux string) {
		done()
		fmt.Fprintf(w, "The guest waits for gdb:\n  gdb %s -ex 'target remote %s'\n", shellescape.Quote(vmlinux), gdbAddress(f.gdb))
	}
	r.Stopped = func(at run.Stop) {
		done()
		tellStop(w, at)
	}
	replayed, err := y.Replay(cmd.Context(), r)
	done()
	if err != nil {
		drop()
		return err
	}
	return f.tell(w, replayed, out, drop)
}

// tellStop says where a guest stands; the console is a stranger's.
func tellStop(w io.Writer, at run.Stop) {
	fmt.Fprintf(report.Plain(w), "stopped after %d instructions; the console's last line: %s\n%s", at.Instructions, report.OneLine(at.Console), at.Registers)
}

// tell says what came of it.
func (f *reproFlags) tell(w io.Writer, r *run.Replayed, out string, drop func()) error {
	w = report.Plain(w)
	switch {
	case !r.Ended:
		drop()
		return nil
	case len(r.Differences) == 0 && len(r.Short) > 0:
		fmt.Fprintf(w, "%s: ended before the recording's end; up to there all is the same\n", r.Recording.Release)
		if f.gdb != "" { // which may do that
			drop()
			return nil
		}
	case len(r.Differences) == 0:
		drop()
		fmt.Fprintf(w, "%s: the same end was reached: console and results are the same to the byte\n", r.Recording.Release)
		return nil
	}
	if len(r.Differences) > 0 {
		fmt.Fprintf(w, "%s: another end was reached: %s differ from the recording's\n", r.Recording.Release, strings.Join(r.Differences, " and "))
	}
	if r.Death != nil {
		fmt.Fprintf(w, "  the machine: %v\n", r.Death)
	}
	fmt.Fprintf(w, "  the replay's own: %s\n", out)
	return errUnexpected
}

// debugger is where QEMU listens for gdb, in QEMU's words.
func (f *reproFlags) debugger() (string, error) {
	switch kind, rest, _ := strings.Cut(f.gdb, ":"); {
	case f.gdb == "":
		return "", nil
	case kind == "tcp" && strings.Contains(rest, ":"):
		return f.gdb + ",server=on,wait=off", nil
	case kind == "unix" && rest != "":
		path, err := filepath.Abs(rest)
		if err != nil {
			return "", err
		}
		return "unix:" + strings.ReplaceAll(path, ",", ",,") + ",server=on,wait=off", nil
	}
	return "", usageError{fmt.Errorf("-gdb %s: must be tcp:HOST:PORT or unix:PATH", f.gdb)}
}

// gdbAddress is the same place in gdb's words.
func gdbAddress(flag string) string {
	_, address, _ := strings.Cut(flag, ":")
	return shellescape.Quote(address)
}
