// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/harness/run"
)

// screen shows what is going on, on stderr: moving lines on a terminal, a
// plain line for each step elsewhere.
type screen struct {
	out   io.Writer
	tty   *mpb.Progress // nil when out is no terminal
	mu    sync.Mutex
	bars  map[string]*mpb.Bar
	lines map[string]*stepLine
	said  map[string]bool
}

// stepLine is the moving line of one kernel.
type stepLine struct {
	bar  *mpb.Bar
	mu   sync.Mutex
	text string
	from time.Time
}

func newScreen(out io.Writer) *screen {
	s := &screen{out: out, bars: map[string]*mpb.Bar{}, lines: map[string]*stepLine{}, said: map[string]bool{}}
	if f, ok := out.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		s.tty = mpb.New(mpb.WithOutput(out), mpb.WithWidth(40), mpb.WithAutoRefresh())
	}
	return s
}

// bytes shows a download; it is a kernels.Progress.
func (s *screen) bytes(what string, done, total int64) {
	what = report.OneLine(what)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tty == nil {
		// One line when it begins: a log has no use for more.
		if !s.said[what] {
			s.said[what] = true
			size := ""
			if total > 0 {
				size = ", " + humanize.Bytes(uint64(total))
			}
			fmt.Fprintf(s.out, "fetching %s%s\n", what, size)
		}
		return
	}
	bar := s.bars[what]
	if bar == nil {
		bar = s.tty.AddBar(total,
			mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name(what, decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.CountersKibiByte("% .1f / % .1f"), decor.Percentage(decor.WC{W: 5})))
		s.bars[what] = bar
	}
	bar.SetTotal(total, total > 0 && done >= total)
	bar.SetCurrent(done)
}

// objects shows a kernel being built; it is a kernels.Progress.
func (s *screen) objects(what string, done, total int64) {
	what = report.OneLine(what)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tty == nil {
		// A line for each tenth: a build takes minutes, and a log that stands
		// still looks like a program that hangs.
		tenth := fmt.Sprintf("%s %d", what, done*10/max(total, 1))
		if !s.said[tenth] {
			s.said[tenth] = true
			fmt.Fprintf(s.out, "building %s: %d of %d objects\n", what, done, total)
		}
		return
	}
	bar := s.bars[what]
	if bar == nil {
		bar = s.tty.AddBar(total,
			mpb.BarRemoveOnComplete(),
			mpb.PrependDecorators(decor.Name("building "+what, decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.CountersNoUnit("%d of %d objects"), decor.Percentage(decor.WC{W: 5}), decor.Elapsed(decor.ET_STYLE_GO, decor.WC{W: 8})))
		s.bars[what] = bar
	}
	bar.SetTotal(total, done >= total)
	bar.SetCurrent(done)
}

// step says what is being done for a kernel.
func (s *screen) step(kernel, text string) {
	kernel, text = report.OneLine(kernel), report.OneLine(text)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tty == nil {
		fmt.Fprintf(s.out, "%s: %s\n", kernel, text)
		return
	}
	line := s.lines[kernel]
	if line == nil {
		line = &stepLine{from: time.Now()}
		line.bar = s.tty.New(0, mpb.NopStyle(), mpb.PrependDecorators(
			decor.Name(kernel, decor.WCSyncSpaceR),
			decor.Any(func(decor.Statistics) string {
				line.mu.Lock()
				defer line.mu.Unlock()
				return fmt.Sprintf("%-40s %5.1f s", line.text, time.Since(line.from).Seconds())
			})))
		s.lines[kernel] = line
	}
	line.mu.Lock()
	line.text = text
	line.mu.Unlock()
}

// waiting says what is being waited for.
func (s *screen) waiting(what string) { s.note("waiting for " + what) }

func (s *screen) note(text string) {
	text = report.Lines(text) // and not what s.tty writes, which draws
	if s.tty == nil {
		fmt.Fprintln(s.out, text)
		return
	}
	fmt.Fprintln(s.tty, text)
}

// close takes the moving lines away.
func (s *screen) close() {
	if s.tty == nil {
		return
	}
	s.mu.Lock()
	for _, b := range s.bars {
		b.Abort(true)
	}
	for _, l := range s.lines {
		l.bar.Abort(true)
	}
	s.mu.Unlock()
	s.tty.Wait()
}

// openYard opens the yard with progress on the command's stderr; done ends
// the display and may be called more than once.
func openYard(cmd *cobra.Command, o run.Options) (*run.Yard, func(), error) {
	s := newScreen(cmd.ErrOrStderr())
	y, done, err := openYardOn(s, o)
	return y, done, err
}

func openYardOn(s *screen, o run.Options) (*run.Yard, func(), error) {
	o.Progress, o.Objects, o.Waiting, o.Note = s.bytes, s.objects, s.waiting, s.note
	y, err := run.NewYard(o)
	if err != nil {
		return nil, nil, err
	}
	return y, sync.OnceFunc(s.close), nil
}
