// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// What a build may leave: its Makefile may be a stranger's.
const (
	mostModule = 256 << 20 // bytes of a module
	logEnd     = 1 << 20   // bytes of either end of what make printed
)

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

// buildLog keeps both ends of what a build prints: the first error is what
// people look for, and the last words are why make gave up.
type buildLog struct {
	mu         sync.Mutex
	head, tail []byte
	dropped    int64
}

func (l *buildLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := len(p)
	room := min(logEnd-len(l.head), n)
	l.head = append(l.head, p[:room]...)
	l.tail = append(l.tail, p[room:]...)
	if len(l.tail) > 2*logEnd { // not for every line
		l.cut()
	}
	return n, nil
}

// cut leaves as much of the tail as is kept.
func (l *buildLog) cut() {
	if over := len(l.tail) - logEnd; over > 0 {
		l.dropped += int64(over)
		l.tail = append(l.tail[:0], l.tail[over:]...)
	}
}

func (l *buildLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut()
	if l.dropped == 0 {
		return string(l.head) + string(l.tail)
	}
	return fmt.Sprintf("%s\n[… %d bytes not kept …]\n%s", l.head, l.dropped, l.tail)
}
