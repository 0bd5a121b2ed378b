// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
)

// mostModule bounds the module that a build may leave, in bytes: its Makefile
// may be a stranger's.
const mostModule = 256 << 20

// takeMade copies the module that the build of the folder source made from the
// folder that it could write to. What lies there is whatever the build wanted:
// a link would be followed on this machine, and not in the tool root, and a
// FIFO would never end. Errors: *InputError for what is no module.
func takeMade(source, made, to string) error {
	no := func(format string, args ...any) error {
		return &InputError{source, fmt.Sprintf("its build makes %s, which ", filepath.Base(made)) + fmt.Sprintf(format, args...), nil}
	}
	in, err := os.OpenFile(made, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, syscall.ELOOP):
		return no("is a link: a module must be a file")
	case errors.Is(err, syscall.ENXIO): // a socket
		return no("is no file")
	case err != nil:
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return no("is no file (%v)", info.Mode().Type())
	case info.Size() > mostModule:
		return no("has %d bytes, and %d may be", info.Size(), mostModule)
	}
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, io.LimitReader(in, mostModule))
	return errors.Join(err, out.Close())
}
