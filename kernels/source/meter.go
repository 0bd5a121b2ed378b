// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"time"

	"github.com/google/renameio/v2"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// compiled is the line that make prints, or with --dry-run would print, for an
// object made from a C or assembler file; a link or a host program is none.
var compiled = regexp.MustCompile(`(?:^  |echo '  )(?:CC|AS)(?: \[M\])? +\S+\.o'?`)

// longestLine is how much of a line is waited for, in bytes.
const longestLine = 64 << 10

// lines calls each for every whole line that is written.
type lines struct{ rest []byte }

func (l *lines) write(p []byte, each func(line []byte)) {
	l.rest = append(l.rest, p...)
	for {
		line, rest, ok := bytes.Cut(l.rest, []byte{'\n'})
		if !ok {
			break
		}
		each(line)
		l.rest = rest
	}
	if len(l.rest) > longestLine {
		l.rest = nil // no line of make's
	}
	l.rest = append([]byte(nil), l.rest...)
}

// counter counts the objects in make's output.
type counter struct {
	lines
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	c.write(p, func(line []byte) {
		if compiled.Match(line) {
			c.n++
		}
	})
	return len(p), nil
}

// progressFile is the file in a build's folder that its meter stands in, for
// those who wait for it.
const progressFile = "progress"

// tellEvery is how often a meter tells how far it is.
const tellEvery = 300 * time.Millisecond

// meter counts objects while make runs.
type meter struct {
	what string
	file string
	tell kernels.Progress // may be nil

	mu    sync.Mutex
	count counter
	total int64
	ended bool
	told  time.Time
}

func (m *meter) begin(total int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count, m.total = counter{}, total
	m.show(true)
}

func (m *meter) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.count.n, m.ended = m.total, true
	m.show(true)
}

func (m *meter) Write(p []byte) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, err := m.count.Write(p)
	m.show(false)
	return n, err
}

// done is what was counted. It is short of the total until the links behind the
// last object are over as well.
func (m *meter) done() int64 {
	if m.ended {
		return m.total
	}
	return max(min(m.count.n, m.total-1), 0)
}

func (m *meter) show(now bool) {
	if !now && time.Since(m.told) < tellEvery {
		return
	}
	m.told = time.Now()
	if m.tell != nil && m.total > 0 {
		m.tell(m.what, m.done(), m.total)
	}
	// A file that nobody can write is no reason to stop a build.
	_ = renameio.WriteFile(m.file, fmt.Appendf(nil, "%d %d\n", m.done(), m.total), 0o644)
}

// String is how far it is: "512 of 1136 objects"; "" before that is known.
func (m *meter) String() string {
	if m == nil {
		return ""
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.total == 0 {
		return ""
	}
	return fmt.Sprintf("%d of %d objects", m.done(), m.total)
}

// lock takes the lock of a build. While another process has it, that one's
// progress is shown.
func (p *Provider) lock(ctx context.Context, pl *plan) (unlock func(), err error) {
	st := *p.Store
	waiting, stop := context.WithCancel(ctx)
	var follower sync.WaitGroup
	st.Waiting = func(string) {
		if p.Waiting != nil {
			p.Waiting(pl.what() + ", which another process builds")
		}
		follower.Go(func() { p.follow(waiting, pl) })
	}
	unlock, err = st.Lock(ctx, store.Builds+"/"+pl.key)
	stop()
	follower.Wait()
	if err != nil && ctx.Err() != nil {
		done, total := readProgress(filepath.Join(p.Store.Path(store.Builds, pl.key), progressFile))
		far := ""
		if total > 0 {
			far = fmt.Sprintf("%d of %d objects by another process", done, total)
		}
		return nil, &kernels.Unfinished{What: pl.what(), Done: far, Command: pl.spec.command(), Err: context.Cause(ctx)}
	}
	return unlock, err
}

// follow shows another process's progress until ctx ends.
func (p *Provider) follow(ctx context.Context, pl *plan) {
	file := filepath.Join(p.Store.Path(store.Builds, pl.key), progressFile)
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	var shown int64 = -1
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			done, total := readProgress(file)
			if total > 0 && done != shown && p.Objects != nil {
				p.Objects(pl.what(), done, total)
				shown = done
			}
		}
	}
}

func readProgress(file string) (done, total int64) {
	text, err := os.ReadFile(file)
	if errors.Is(err, os.ErrNotExist) || err != nil {
		return 0, 0
	}
	if _, err := fmt.Sscanf(string(text), "%d %d", &done, &total); err != nil {
		return 0, 0
	}
	return done, total
}
