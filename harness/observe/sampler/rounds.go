// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// The functions of kernel/livepatch/transition.c whose entries tell how the
// core proceeds. Seen on 6.1 and 6.12; one that a kernel lacks, or that its
// compiler inlined (klp_send_signals, on both), is done without.
const (
	traceRound    = "klp_try_complete_transition" // each round
	traceStart    = "klp_init_transition"         // `transition` becomes 1 in it
	traceComplete = "klp_complete_transition"     // at its end `transition` becomes 0
	traceSignal   = "klp_send_signals"
)

// tracedGlobs select them. Few and wide: for each the kernel looks up the
// names of all its functions, 80 ms under TCG.
var tracedGlobs = []string{"klp_*_transition"}

// rounds is a tracing instance of our own: it shares neither buffer nor
// filter with whatever else is traced in the guest.
type rounds struct {
	dir   string
	pipe  int
	names []string // what could be traced
	why   string   // why not all of them
	rest  []byte   // a line that is not whole yet
	n     int      // rounds in this transition
	buf   [4096]byte
}

// startRounds sets up function tracing of the core, or finds it set up: close
// leaves it in place, as putting it up costs some 300 ms under TCG.
func startRounds(tracefs string) (*rounds, error) {
	r := &rounds{dir: tracefs + "/instances/switchyard", pipe: -1}
	err := os.Mkdir(r.dir, 0o755)
	if err == nil {
		err = r.setUp()
	} else if errors.Is(err, os.ErrExist) {
		err = r.write("trace", "", unix.O_TRUNC) // what is left from before
	}
	if err == nil {
		err = r.begin()
	}
	if err != nil {
		r.close()
		_ = os.Remove(r.dir)
		return nil, fmt.Errorf("no function tracing: %w", err)
	}
	return r, nil
}

func (r *rounds) setUp() error {
	for _, step := range []struct{ file, value string }{
		{"trace_clock", "mono"}, // CLOCK_MONOTONIC, as our own stamps
		{"buffer_size_kb", "64"},
	} {
		if err := r.write(step.file, step.value, unix.O_TRUNC); err != nil {
			return err
		}
	}
	for _, glob := range tracedGlobs {
		if err := r.write("set_ftrace_filter", glob, unix.O_APPEND); err != nil {
			return err
		}
	}
	if err := r.filtered(); err != nil {
		return err
	}
	return r.write("current_tracer", "function", unix.O_TRUNC)
}

// filtered reads back what will be traced.
func (r *rounds) filtered() error {
	b, err := os.ReadFile(r.dir + "/set_ftrace_filter")
	if err != nil {
		return err
	}
	r.names = nil
	for line := range strings.Lines(string(b)) {
		name, _, _ := strings.Cut(strings.TrimSpace(line), " ") // a counter may follow
		if strings.HasPrefix(name, "klp_") {
			r.names = append(r.names, name)
		}
	}
	if len(r.names) == 0 {
		return errors.New("no function of the livepatch core can be traced") // an empty filter would trace all
	}
	return nil
}

func (r *rounds) begin() (err error) {
	if err := r.filtered(); err != nil {
		return err
	}
	if !r.has(traceRound) {
		r.why = "this kernel cannot trace " + traceRound
	}
	if r.pipe, err = open(r.dir+"/trace_pipe", unix.O_RDONLY|unix.O_NONBLOCK); err != nil {
		return err
	}
	return r.write("tracing_on", "1", unix.O_TRUNC)
}

func (r *rounds) write(file, value string, flags int) error {
	fd, err := open(r.dir+"/"+file, unix.O_WRONLY|flags)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	_, err = unix.Write(fd, []byte(value+"\n"))
	// A filter that matches nothing may be refused only here.
	if closed := unix.Close(fd); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

func (r *rounds) has(name string) bool { return slices.Contains(r.names, name) }

func (r *rounds) close() {
	if r.pipe >= 0 {
		unix.Close(r.pipe)
	}
	_ = r.write("tracing_on", "0", unix.O_TRUNC)
}

// wait waits until something was traced, or until then: CLOCK_MONOTONIC in ns.
func (r *rounds) wait(until int64) (traced bool) {
	for {
		timeout := unix.NsecToTimespec(max(until-now(), 0))
		n, err := unix.Ppoll([]unix.PollFd{{Fd: int32(r.pipe), Events: unix.POLLIN}}, &timeout, nil)
		if err == unix.EINTR {
			continue // what is traced from now on is not to be slept through
		}
		if err != nil {
			sleepUntil(until) // a file that cannot be waited for
		}
		return n > 0
	}
}

// drain emits what was traced since; it does not block.
func (r *rounds) drain(emit func(observe.Event)) {
	for {
		n, err := unix.Read(r.pipe, r.buf[:])
		if err != nil || n <= 0 {
			return
		}
		r.rest = append(r.rest, r.buf[:n]...)
		for {
			i := bytes.IndexByte(r.rest, '\n')
			if i < 0 {
				break
			}
			r.line(string(r.rest[:i]), emit)
			r.rest = r.rest[i+1:]
		}
		if len(r.rest) > len(r.buf) {
			r.rest = nil // not a trace
		}
	}
}

// line turns a line of trace_pipe into an event:
//
//	insmod-91      [000] .....    12.345678: klp_try_complete_transition <-klp_enable_patch
//	CPU:0 [LOST 12 EVENTS]
func (r *rounds) line(line string, emit func(observe.Event)) {
	if text, ok := strings.CutPrefix(line, "CPU:"); ok && strings.Contains(text, "LOST ") {
		_, text, _ = strings.Cut(text, "LOST ")
		n, _ := strconv.ParseUint(strings.TrimSuffix(text, " EVENTS]"), 10, 64)
		emit(observe.Event{T: now(), Kind: observe.KindLost, Lost: &observe.Lost{Source: "rounds", N: n}})
		return
	}
	name, t, ok := parseTrace(line)
	if !ok {
		return
	}
	e := observe.Event{T: t}
	switch name {
	case traceRound:
		r.n++
		e.Kind, e.Round = observe.KindRound, &observe.Round{N: r.n}
	case traceSignal:
		e.Kind, e.Signal = observe.KindSignal, &observe.Signal{Source: "trace"}
	case traceStart:
		r.n = 0
		e.Kind, e.Transition = observe.KindTransition, &observe.Transition{Edge: observe.EdgeStart, Exact: true}
	case traceComplete:
		e.Kind, e.Transition = observe.KindTransition, &observe.Transition{Edge: observe.EdgeEnd, Exact: true}
	default:
		return
	}
	emit(e)
}

// parseTrace takes function and stamp (ns) from the right end of a line: at
// its left stands a task's name, which may hold anything.
func parseTrace(line string) (name string, t int64, ok bool) {
	i := strings.LastIndex(line, " <-")
	if i < 0 {
		return "", 0, false
	}
	head, name, ok := cutLast(line[:i], ": ")
	if !ok {
		return "", 0, false
	}
	_, stamp, ok := cutLast(head, " ")
	if !ok {
		return "", 0, false
	}
	seconds, micros, ok := strings.Cut(stamp, ".")
	if !ok || len(micros) != 6 {
		return "", 0, false
	}
	s, err1 := strconv.ParseInt(seconds, 10, 32)
	us, err2 := strconv.ParseInt(micros, 10, 32)
	if err1 != nil || err2 != nil || s < 0 || us < 0 {
		return "", 0, false
	}
	return name, s*1e9 + us*1e3, true
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return "", "", false
	}
	return s[:i], s[i+len(sep):], true
}
