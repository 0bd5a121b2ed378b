// SPDX-License-Identifier: Apache-2.0

package kernels

import "fmt"

// Lacking is the error for something that this machine does not have and a
// person can get: the command exits with status 3 on it.
type Lacking struct {
	What   string // what is missing, a noun phrase: "a way into the tool root"
	Remedy string // what to do, an imperative: "run `sudo sysctl …`"
	Err    error  // what was tried and seen; may be nil
}

func (l *Lacking) Error() string {
	text := "this machine lacks " + l.What
	if l.Err != nil {
		text += fmt.Sprintf(" (%v)", l.Err)
	}
	if l.Remedy != "" {
		text += ": " + l.Remedy
	}
	return text
}

func (l *Lacking) Unwrap() error { return l.Err }

// Unfinished is the error for a long piece of work that was stopped by a time
// limit, and goes on from there when it is asked for again.
type Unfinished struct {
	What    string // what is not there yet, a noun phrase: "kernel 6.6.3"
	Done    string // how far it came, "" if that is not known: "512 of 1136 objects"
	Command string // what goes on with it, without a limit of time
	Err     error  // what stopped it
}

func (u *Unfinished) Error() string {
	text := u.What + " is not built yet"
	if u.Done != "" {
		text += " (" + u.Done + ")"
	}
	return fmt.Sprintf("%s: %v; `%s` goes on from there", text, u.Err, u.Command)
}

func (u *Unfinished) Unwrap() error { return u.Err }
