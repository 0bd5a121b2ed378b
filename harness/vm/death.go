// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	goqmp "github.com/digitalocean/go-qemu/qmp"
)

// Death is the error of every machine that did not end as it was asked to.
// errors.As finds it, or one of the kinds below. Error is one line, %+v
// prints all that was seen.
type Death interface {
	error
	Seen() *Evidence
}

// Evidence is what there was to see when a machine had died.
type Evidence struct {
	// After is how long it lived, on the host's monotonic clock.
	After time.Duration
	// Console are the last lines of the serial console, Omitted the number
	// of those before them.
	Console []Line
	Omitted int
	// Events are the last QMP events, oldest first.
	Events []goqmp.Event
	// Stderr is the end of what QEMU itself wrote.
	Stderr string
	// Registers are the virtual CPUs' (`info registers -a`), where the
	// machine was silent and QEMU still answered.
	Registers string
	// Hint is advice for a cause the console gives away; may be "".
	Hint string
	// Dir is where the whole logs are.
	Dir string
}

// Seen is the evidence itself.
func (e *Evidence) Seen() *Evidence { return e }

// line is the one-line form: what happened, what may help, where the rest is.
func (e *Evidence) line(format string, args ...any) string {
	text := fmt.Sprintf(format, args...) + fmt.Sprintf(" after %.1f s", e.After.Seconds())
	if e.Hint != "" {
		text += "; " + e.Hint
	}
	if n := len(e.Console) + e.Omitted; n > 0 {
		text += fmt.Sprintf(" (%d lines omitted, see %s)", n, filepath.Join(e.Dir, serialFile))
	}
	return text
}

// format prints the one-line form, and with %+v all the rest.
func (e *Evidence) format(s fmt.State, verb rune, line string) {
	switch {
	case verb == 'q':
		fmt.Fprintf(s, "%q", line)
		return
	case verb != 'v' || !s.Flag('+'):
		_, _ = io.WriteString(s, line)
		return
	}
	fmt.Fprintln(s, line)
	if e.Stderr != "" {
		fmt.Fprintf(s, "QEMU says:\n%s\n", indent(e.Stderr))
	}
	if len(e.Events) > 0 {
		fmt.Fprintln(s, "QMP events:")
	}
	for _, event := range e.Events {
		data, _ := json.Marshal(event.Data)
		fmt.Fprintf(s, "  %d.%06d %s %s\n", event.Timestamp.Seconds, event.Timestamp.Microseconds, event.Event, data)
	}
	if e.Registers != "" {
		fmt.Fprintf(s, "Registers:\n%s\n", indent(e.Registers))
	}
	if len(e.Console) > 0 {
		fmt.Fprintf(s, "Console (%d lines before these):\n", e.Omitted)
	}
	for _, l := range e.Console {
		fmt.Fprintf(s, "  %12.6f  %s\n", l.At.Seconds(), l.Text)
	}
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n  ")
}

// lastLine is the last of lines that says anything.
func lastLine(lines []Line) string {
	for i := len(lines) - 1; i >= 0; i-- {
		if text := strings.TrimSpace(lines[i].Text); text != "" {
			return text
		}
	}
	return ""
}

// GuestPanic is a panic of the guest's kernel.
type GuestPanic struct {
	*Evidence
	// Reason is the kernel's own: "Kernel panic - not syncing: …"; "" if
	// only the pvpanic device told.
	Reason string
}

func (d *GuestPanic) Error() string {
	reason := d.Reason
	if reason == "" {
		reason = "no word of it on the console"
	}
	return d.line("the guest panicked: %s,", reason)
}

// GuestReset is a guest that restarted itself (also by a triple fault)
// without a panic.
type GuestReset struct{ *Evidence }

func (d *GuestReset) Error() string {
	if last := lastLine(d.Console); last != "" {
		return d.line("the guest reset itself, last words %q,", last)
	}
	return d.line("the guest reset itself, without a word on the console,")
}

// GuestShutdown is a guest that powered itself off when nobody expected it.
type GuestShutdown struct{ *Evidence }

func (d *GuestShutdown) Error() string { return d.line("the guest powered itself off unasked") }

// QEMUKilled is a QEMU ended by a signal that was not ours.
type QEMUKilled struct {
	*Evidence
	Signal syscall.Signal // 0: one that QEMU handled, and does not name
	Err    error          // why, where that is known: ENOSPC
}

func (d *QEMUKilled) Error() string {
	switch d.Signal {
	case 0:
		return d.line("QEMU was told by a signal to end, and did,")
	case syscall.SIGKILL:
		return d.line("QEMU was killed from outside (SIGKILL; did the host run out of memory?)")
	}
	if d.Err != nil {
		return d.line("QEMU died of a signal (%v: %v)", d.Signal, d.Err)
	}
	if words := lastOf(d.Stderr); words != "" {
		return d.line("QEMU died of a signal (%v: %s)", d.Signal, words)
	}
	return d.line("QEMU died of a signal (%v)", d.Signal)
}

func (d *QEMUKilled) Unwrap() error { return d.Err }

// QEMUExit is a QEMU that gave up: a bad option, no memory, a bug.
type QEMUExit struct {
	*Evidence
	Status int
	Reason string // "" if QEMU's own words say it
}

func (d *QEMUExit) Error() string {
	reason := d.Reason
	if reason == "" {
		reason = lastOf(d.Stderr)
	}
	if reason == "" {
		reason = "no message"
	}
	return d.line("QEMU exited with status %d (%s)", d.Status, reason)
}

func lastOf(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(lines[len(lines)-1])
}

// Silence is a guest that gave no sign of life for longer than it may.
type Silence struct {
	*Evidence
	For time.Duration
	// LastWords were the last line on the console when it fell silent.
	// Evidence.Console has more: what an NMI made the kernel say.
	LastWords string
}

func (d *Silence) Error() string {
	if d.LastWords != "" {
		return d.line("no sign of life for %v, neither on the console (last words %q) nor on the channel; ended", d.For, d.LastWords)
	}
	return d.line("no sign of life for %v, not one byte on the console; ended", d.For)
}

// DeadlineExceeded is a guest that had not finished at Config.Deadline.
type DeadlineExceeded struct{ *Evidence }

func (d *DeadlineExceeded) Error() string { return d.line("the machine's time was up") }

// Canceled is a machine that was ended on purpose: Kill, a Shutdown that took
// too long, or the end of Start's context.
type Canceled struct {
	*Evidence
	Err error
}

func (d *Canceled) Error() string { return d.line("the machine was ended (%v)", d.Err) }
func (d *Canceled) Unwrap() error { return d.Err }

func (d *GuestPanic) Format(s fmt.State, verb rune)       { d.format(s, verb, d.Error()) }
func (d *GuestReset) Format(s fmt.State, verb rune)       { d.format(s, verb, d.Error()) }
func (d *GuestShutdown) Format(s fmt.State, verb rune)    { d.format(s, verb, d.Error()) }
func (d *QEMUKilled) Format(s fmt.State, verb rune)       { d.format(s, verb, d.Error()) }
func (d *QEMUExit) Format(s fmt.State, verb rune)         { d.format(s, verb, d.Error()) }
func (d *Silence) Format(s fmt.State, verb rune)          { d.format(s, verb, d.Error()) }
func (d *DeadlineExceeded) Format(s fmt.State, verb rune) { d.format(s, verb, d.Error()) }
func (d *Canceled) Format(s fmt.State, verb rune)         { d.format(s, verb, d.Error()) }
