// SPDX-License-Identifier: Apache-2.0

package toolroot

import (
	"fmt"
	"strings"
	"sync"
)

// Log keeps both ends of what a job prints: the first error is what people look
// for, and the last words are why make gave up. What is between is not kept, for
// a Makefile may be a stranger's and print without end. The zero Log is empty.
type Log struct {
	mu         sync.Mutex
	head, tail []byte
	dropped    int64
}

// logEnd is how much of either end is kept, in bytes.
const logEnd = 1 << 20

func (l *Log) Write(p []byte) (int, error) {
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
func (l *Log) cut() {
	if over := len(l.tail) - logEnd; over > 0 {
		l.dropped += int64(over)
		l.tail = append(l.tail[:0], l.tail[over:]...)
	}
}

// String is what was printed, with a line in place of what was not kept.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut()
	if l.dropped == 0 {
		return string(l.head) + string(l.tail)
	}
	return fmt.Sprintf("%s\n[… %d bytes not kept …]\n%s", l.head, l.dropped, l.tail)
}

// What of a log stands in an error's text: more nobody reads on a terminal.
const (
	lastLines = 40
	lastBytes = 8 << 10
)

// LastWords are the last lines of a job's log, for the text of an error.
func LastWords(log string) string {
	log = strings.TrimSpace(log)
	from := len(log)
	for range lastLines {
		i := strings.LastIndexByte(log[:from], '\n')
		if len(log)-i-1 > lastBytes && from < len(log) {
			break // one line more would be too much; one alone is cut below
		}
		if from = i; i < 0 {
			break
		}
	}
	from = max(from+1, len(log)-lastBytes, 0)
	if from == 0 {
		return log
	}
	return fmt.Sprintf("[… %d bytes before …]\n%s", from, strings.ToValidUTF8(log[from:], ""))
}
