// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// DefaultLimit is the size in bytes at which a Log stops taking events: the
// guest is not trusted with the host's disk.
const DefaultLimit = 1 << 30

// maxLine bounds a line on reading; Append never writes a longer one.
const maxLine = 4 << 20

// Log is the timeline on disk: JSON lines, each written with one write as its
// event happens, so that a killed run still has all but the last.
//
// Concurrency: all methods may be called from several goroutines.
type Log struct {
	mu    sync.Mutex
	file  *os.File
	size  int64
	limit int64
	lost  uint64
	err   error // the first write error; sticky
}

// Create makes a new log at path; limit is its size in bytes, 0 for
// DefaultLimit.
func Create(path string, limit int64) (*Log, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("timeline: %w", err)
	}
	if limit <= 0 {
		limit = DefaultLimit
	}
	return &Log{file: f, limit: limit}, nil
}

// Append writes one event. Once the disk was full or the limit reached, the
// rest is counted and not written: a torn timeline in the middle would be
// worse than a short one. The error is the first one, each time.
func (l *Log) Append(e Event) error {
	line, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("timeline: event %s: %w", e.Kind, err)
	}
	line = append(line, '\n')
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.err != nil:
	case len(line) > maxLine:
		return fmt.Errorf("timeline: event %s of %d bytes is over the limit of %d", e.Kind, len(line), maxLine)
	case l.size+int64(len(line)) > l.limit:
		l.err = fmt.Errorf("timeline %s: over its limit of %d bytes, the rest is not recorded", l.file.Name(), l.limit)
	default:
		n, err := l.file.Write(line)
		l.size += int64(n)
		if err != nil {
			l.err = fmt.Errorf("timeline: %w; the rest is not recorded", err)
		}
	}
	if l.err != nil {
		l.lost++
	}
	return l.err
}

// Lost is the number of events that were not written.
func (l *Log) Lost() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// Close syncs and closes the file. The error is the first one of the log's
// life.
func (l *Log) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return l.err
	}
	err := errors.Join(l.file.Sync(), l.file.Close())
	l.file = nil
	if l.err == nil {
		if err != nil {
			l.err = fmt.Errorf("timeline: %w", err)
			return l.err
		}
		l.err = fmt.Errorf("timeline: %w", os.ErrClosed) // for later Appends
		return nil
	}
	return l.err
}

// TornError says that a log ends in the middle of a line, as it does when its
// writer was killed or the disk was full. What came before is whole.
type TornError struct {
	Path   string
	Line   int // from 1
	Offset int64
}

func (e *TornError) Error() string {
	return fmt.Sprintf("timeline %s is torn in its last line %d (byte %d); what was before it is used", e.Path, e.Line, e.Offset)
}

// Read gives the timeline of a log file. With a torn last line it gives all
// events before it and a *TornError; any other bad line is an error and gives
// the events before it as well.
func Read(path string) (Timeline, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("timeline: %w", err)
	}
	defer f.Close()
	return read(path, f)
}

func read(path string, r io.Reader) (Timeline, error) {
	var events Timeline
	var offset int64
	in := bufio.NewReaderSize(r, 64<<10)
	for n := 1; ; n++ {
		line, err := readLine(in)
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return events, nil
		}
		if errors.Is(err, io.EOF) {
			return events, &TornError{Path: path, Line: n, Offset: offset}
		}
		if err != nil {
			return events, fmt.Errorf("timeline %s, line %d: %w", path, n, err)
		}
		var e Event
		if err := json.Unmarshal(line, &e); err != nil {
			return events, fmt.Errorf("timeline %s, line %d: %w", path, n, err)
		}
		events = append(events, e)
		offset += int64(len(line))
	}
}

// readLine is a line with its newline; without one the error is io.EOF.
func readLine(in *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := in.ReadSlice('\n')
		if len(line)+len(part) > maxLine {
			return nil, fmt.Errorf("longer than %d bytes", maxLine)
		}
		line = append(line, part...)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}
