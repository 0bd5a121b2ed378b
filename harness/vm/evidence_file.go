// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"sync"
)

// evidenceFile is a file that keeps the beginning and the end of what is
// written to it and says how much is missing between, so that no guest can
// fill the disk. Until Close, the end is in two files beside it, PATH.tail0
// and PATH.tail1, of which the older one goes when the newer one is full.
//
// Writing never fails: who writes here is draining a guest, and must go on.
// The first error is kept for Close.
type evidenceFile struct {
	path       string
	head, tail int64 // bytes kept at most, of each end; a tail file holds half of tail

	mu      sync.Mutex
	main    *os.File
	written int64
	tails   [2]*os.File // older, newer
	sizes   [2]int64
	names   [2]string
	dropped struct{ bytes, lines int64 }
	lines   [2]int64
	err     error
	closed  bool
}

// tailSuffix is behind the names of the tails while they are written.
const tailSuffix = ".tail"

func createEvidence(path string, head, tail int64) (*evidenceFile, error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	return &evidenceFile{
		path: path, head: head, tail: tail, main: f,
		names: [2]string{path + tailSuffix + "0", path + tailSuffix + "1"},
	}, nil
}

func (e *evidenceFile) Write(p []byte) (int, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := len(p)
	if e.closed {
		return n, nil
	}
	if room := e.head - e.written; room > 0 {
		part := p[:min(room, int64(len(p)))]
		e.keep(writeAll(e.main, part))
		e.written += int64(len(part))
		p = p[len(part):]
	}
	for len(p) > 0 {
		room := e.tail/2 - e.sizes[1]
		if e.tails[1] == nil || room <= 0 {
			e.rotate()
			room = e.tail / 2
		}
		part := p[:min(max(room, 1), int64(len(p)))]
		if e.tails[1] != nil {
			e.keep(writeAll(e.tails[1], part))
		}
		e.sizes[1] += int64(len(part))
		e.lines[1] += int64(bytes.Count(part, []byte{'\n'}))
		p = p[len(part):]
	}
	return n, nil
}

// rotate drops the older tail and begins a new one under its name.
func (e *evidenceFile) rotate() {
	if e.tails[0] != nil {
		e.keep(e.tails[0].Close())
	}
	e.dropped.bytes += e.sizes[0]
	e.dropped.lines += e.lines[0]
	f, err := os.Create(e.names[0])
	e.keep(err)
	if err != nil {
		f = nil
	}
	e.tails = [2]*os.File{e.tails[1], f}
	e.names = [2]string{e.names[1], e.names[0]}
	e.sizes = [2]int64{e.sizes[1], 0}
	e.lines = [2]int64{e.lines[1], 0}
}

// Close joins the ends and gives the first error there was.
func (e *evidenceFile) Close() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return e.err
	}
	e.closed = true
	if e.dropped.bytes > 0 {
		_, err := fmt.Fprintf(e.main, "\n[… %d bytes in %d lines not kept …]\n", e.dropped.bytes, e.dropped.lines)
		e.keep(err)
	}
	for i, f := range e.tails {
		if f == nil {
			continue
		}
		_, err := f.Seek(0, io.SeekStart)
		e.keep(err)
		_, err = io.Copy(e.main, f)
		e.keep(err)
		e.keep(f.Close())
		e.keep(os.Remove(e.names[i]))
	}
	e.keep(e.main.Close())
	return e.err
}

// Err is the first error so far.
func (e *evidenceFile) Err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

func (e *evidenceFile) keep(err error) {
	if err != nil && e.err == nil {
		e.err = fmt.Errorf("write %s: %w", e.path, err)
	}
}

func writeAll(w io.Writer, p []byte) error {
	_, err := w.Write(p)
	return err
}
