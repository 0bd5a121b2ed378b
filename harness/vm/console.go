// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// Bounds of what the console keeps in memory, whatever a guest writes.
const (
	maxLine     = 4 << 10   // bytes of one line; longer ones are cut into several
	keptLines   = 2000      // the last lines …
	keptBytes   = 512 << 10 // … as long as they are not more than this
	subscribers = 4096      // lines a subscriber may leave undrained
)

// panicMark begins the kernel's last words.
// https://elixir.bootlin.com/linux/latest/source/kernel/panic.c (panic)
const panicMark = "Kernel panic - not syncing"

// Line is one line of the serial console. Bytes other than printable ASCII
// and tabs stand as \xNN: a guest is not trusted with our terminals.
type Line struct {
	// At is when its first byte was read: host monotonic clock, since Start.
	At   time.Duration
	Text string
	// Dropped is how many lines this subscriber lost right before this one.
	Dropped int
}

// Console is the serial console. It is read all the time, also when nobody
// listens: an undrained console stalls the guest.
type Console struct {
	screen   io.ReadCloser
	keyboard io.WriteCloser
	start    time.Time
	log      io.Writer
	alive    func()        // told of every read
	panic    chan struct{} // closed at the first panicMark
	done     chan struct{} // closed at the end

	mu      sync.Mutex
	kept    []Line
	bytes   int
	count   int // lines so far, kept or not
	partial []byte
	at      time.Duration // of partial
	opened  bool          // a stamp was written for the line under way
	words   string        // the panic line
	subs    map[*lineSubscription]struct{}
	raw     io.Writer // a person's terminal, see Attach; may be nil
	closed  bool
}

type lineSubscription struct {
	lines   chan Line
	dropped int
	stop    func() bool
}

func newConsole(screen io.ReadCloser, keyboard io.WriteCloser, start time.Time, log io.Writer, alive func()) *Console {
	c := &Console{
		screen: screen, keyboard: keyboard, start: start, log: log, alive: alive,
		panic: make(chan struct{}), done: make(chan struct{}),
		subs: map[*lineSubscription]struct{}{},
	}
	fmt.Fprintf(log, "# Serial console. First column: seconds on the host's monotonic clock since %s.\n",
		start.UTC().Format(time.RFC3339Nano))
	return c
}

// read drains the screen until it ends.
func (c *Console) read() {
	buf := make([]byte, 32<<10)
	for {
		n, err := c.screen.Read(buf)
		if n > 0 {
			c.alive()
			c.take(buf[:n], time.Since(c.start))
		}
		if err != nil {
			break
		}
	}
	_ = c.screen.Close()
	_ = c.keyboard.Close() // lets a Type go that nobody reads
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.partial) > 0 {
		c.endLine()
	}
	c.closed = true
	for sub := range c.subs {
		c.unsubscribe(sub)
	}
	close(c.done)
}

const hexDigits = "0123456789abcdef"

// take splits what was read at now into lines; all of it is on its way to
// the disk when it returns.
func (c *Console) take(p []byte, now time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.raw != nil {
		_, _ = c.raw.Write(p)
	}
	var disk bytes.Buffer
	for _, b := range p {
		if b == '\r' {
			continue
		}
		if !c.opened {
			c.opened, c.at = true, now
			fmt.Fprintf(&disk, "%12.6f  ", now.Seconds())
		}
		if b == '\n' {
			disk.WriteByte(b)
			c.endLine()
			c.opened = false
			continue
		}
		from := len(c.partial)
		if b == '\t' || b >= ' ' && b <= '~' {
			c.partial = append(c.partial, b)
		} else {
			c.partial = append(c.partial, '\\', 'x', hexDigits[b>>4], hexDigits[b&15])
		}
		disk.Write(c.partial[from:])
		if len(c.partial) >= maxLine {
			c.endLine()
			c.at = now
		}
	}
	_, _ = c.log.Write(disk.Bytes())
}

// endLine makes a Line of what there is. Needs c.mu.
func (c *Console) endLine() {
	line := Line{At: c.at, Text: string(c.partial)}
	c.partial = c.partial[:0]
	c.count++
	c.kept = append(c.kept, line)
	c.bytes += len(line.Text)
	drop := 0
	for len(c.kept)-drop > keptLines || c.bytes > keptBytes {
		c.bytes -= len(c.kept[drop].Text)
		drop++
	}
	c.kept = c.kept[drop:]
	if c.words == "" && strings.Contains(line.Text, panicMark) {
		c.words = line.Text
		close(c.panic)
	}
	for sub := range c.subs {
		sub.send(line)
	}
}

func (s *lineSubscription) send(line Line) {
	line.Dropped = s.dropped
	select {
	case s.lines <- line:
		s.dropped = 0
	default:
		s.dropped++
	}
}

// Subscribe streams the lines still in memory and all that follow, until ctx
// or the console ends; then the channel is closed. A subscriber that does not
// keep up loses lines, which are counted, and hinders nobody.
func (c *Console) Subscribe(ctx context.Context) <-chan Line {
	c.mu.Lock()
	defer c.mu.Unlock()
	sub := &lineSubscription{lines: make(chan Line, subscribers)}
	sub.dropped = c.count - len(c.kept)
	for _, line := range c.kept {
		sub.send(line)
	}
	if c.closed {
		close(sub.lines)
		return sub.lines
	}
	c.subs[sub] = struct{}{}
	sub.stop = context.AfterFunc(ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.unsubscribe(sub)
	})
	return sub.lines
}

// unsubscribe needs c.mu.
func (c *Console) unsubscribe(sub *lineSubscription) {
	if _, there := c.subs[sub]; there {
		delete(c.subs, sub)
		sub.stop()
		close(sub.lines)
	}
}

// Lines are the lines still in memory, at most n of them, and how many came
// before those. A line not ended yet counts.
func (c *Console) Lines(n int) (lines []Line, before int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	all, count := c.kept, c.count
	if len(c.partial) > 0 {
		all = append(append([]Line{}, all...), Line{At: c.at, Text: string(c.partial)})
		count++
	}
	all = all[max(0, len(all)-n):]
	return append([]Line{}, all...), count - len(all)
}

// Tail is the text of the last n lines.
func (c *Console) Tail(n int) string {
	lines, _ := c.Lines(n)
	var text strings.Builder
	for _, line := range lines {
		text.WriteString(line.Text)
		text.WriteByte('\n')
	}
	return text.String()
}

// lastLine is the last line that says anything.
func (c *Console) lastLine() string {
	lines, _ := c.Lines(keptLines)
	return lastLine(lines)
}

// lastWords is the line with which the kernel panicked, from the mark on;
// "" if it did not.
func (c *Console) lastWords() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := c.words
	if text == "" && strings.Contains(string(c.partial), panicMark) {
		text = string(c.partial)
	}
	if i := strings.Index(text, panicMark); i > 0 {
		text = text[i:]
	}
	return text
}
