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
