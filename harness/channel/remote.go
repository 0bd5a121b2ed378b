// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"errors"
	"syscall"
)

// RemoteError is an error from the guest's side of a call. errors.Is sees
// through to Errno: errors.Is(err, syscall.ENOEXEC).
type RemoteError struct {
	Method  string        `json:"-"`
	Errno   syscall.Errno `json:"errno,omitempty"` // 0: not from a system call
	Message string        `json:"message"`
}

func (e *RemoteError) Error() string { return "guest: " + e.Method + ": " + e.Message }

// Unwrap gives the Errno, if there is one.
func (e *RemoteError) Unwrap() error {
	if e.Errno == 0 {
		return nil
	}
	return e.Errno
}

// remoteError makes the wire form of a handler's error.
func remoteError(err error) *RemoteError {
	if err == nil {
		return nil
	}
	re := &RemoteError{Message: err.Error()}
	errors.As(err, &re.Errno)
	const most = 64 << 10 // far below MaxLine, also when escaped
	if len(re.Message) > most {
		re.Message = re.Message[:most] + "…"
	}
	return re
}
