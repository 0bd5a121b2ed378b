// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"errors"

	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// What is known of a task in the transition that runs.
type standing int8

const (
	unknown  standing = iota // not looked at since the transition began
	left                     // seen with the old patch_state
	switched                 // seen with the new one
)

// task is one thread of the guest, kernel threads included.
type task struct {
	pid, tid int
	file     string // its patch_state
	fd       int    // of it; -1 when there are too many
	comm     string // when it was found
	kthread  bool
	walk     int // the scout's: the walk that saw it last

	standing standing // the watcher's
	gone     bool     // the scout said so
}

// tasks is every task that /proc shows, as the watcher knows them. The idle
// tasks (swapper/N) have no folder there and are never seen.
//
// All work is cut into steps, and each stops at the deadline it is given, so
// that a look is not late because there are thousands of tasks.
type tasks struct {
	scout *scout
	order []*task // in the order they were found, for sweeps
	holes int     // gone ones in order
	buf   [64]byte

	cursor int // of sweep, in order
	again  int // of poll, in lefts
	lefts  []*task
	sought int // how many are unknown
	turn   int // of late
}

// hear takes in what the scout found; at most as many as stay bounded.
func (s *tasks) hear(most int) {
	for ; most > 0; most-- {
		select {
		case n := <-s.scout.news:
			switch {
			case !n.gone:
				s.order = append(s.order, n.task)
				s.sought++
			case n.task.standing == left:
				// The poll's to follow: its end is an event.
				n.task.gone = true
			default:
				s.drop(n.task)
			}
		default:
			return
		}
	}
}

// drop lets go of a task. Its place stays until half of them are empty.
func (s *tasks) drop(t *task) {
	if t.standing == unknown {
		s.sought--
	}
	t.standing, t.gone = switched, true
	if t.fd >= 0 {
		unix.Close(t.fd)
		t.fd = -1
		s.scout.open.Add(-1)
	}
	if s.holes++; s.holes*2 > len(s.order) {
		kept := s.order[:0]
		for _, t := range s.order {
			if !t.gone || t.standing == left {
				kept = append(kept, t)
			}
		}
		clear(s.order[len(kept):])
		s.order, s.holes, s.cursor = kept, 0, 0
	}
}

// total is how many there are.
func (s *tasks) total() int { return len(s.order) - s.holes }

func (s *tasks) close() {
	for _, t := range s.order {
		if t.fd >= 0 {
			unix.Close(t.fd)
		}
	}
	for {
		select {
		case n := <-s.scout.news:
			if !n.gone && n.task.fd >= 0 {
				unix.Close(n.task.fd)
			}
		default:
			return
		}
	}
}

// restart makes all tasks unknown: a transition begins or turns round.
func (s *tasks) restart() {
	s.finish(func(*task) {})
	s.sought = 0
	for _, t := range s.order {
		if !t.gone {
			t.standing = unknown
			s.sought++
		}
	}
	s.cursor, s.again = 0, 0
}

var errGone = errors.New("the task has ended")

// state reads a task's patch_state.
func (s *tasks) state(t *task) (int, error) {
	fd := t.fd
	if fd < 0 {
		var err error
		if fd, err = open(t.file, unix.O_RDONLY); err != nil {
			return 0, errGone
		}
		defer unix.Close(fd)
	}
	v, err := readInt(fd, s.buf[:])
	if err != nil {
		return 0, errGone
	}
	return v, nil
}

// sweep looks at tasks that are unknown until deadline. target is the
// patch_state that the transition leads to.
func (s *tasks) sweep(target int, deadline int64) {
	for ; s.sought > 0 && s.cursor < len(s.order); s.cursor++ {
		t := s.order[s.cursor]
		if t.standing != unknown {
			continue
		}
		if s.late(deadline) {
			return
		}
		s.sought--
		v, err := s.state(t)
		if err != nil || v != 1-target {
			t.standing = switched
			continue
		}
		t.standing = left
		s.lefts = append(s.lefts, t)
	}
	if s.cursor >= len(s.order) {
		s.cursor = 0
	}
}

// poll looks again at tasks that were left, round robin until deadline, and
// calls each for those that are so no longer.
func (s *tasks) poll(target int, deadline int64, each func(t *task, state int, exited bool)) {
	for n := len(s.lefts); n > 0; n-- {
		if s.again >= len(s.lefts) {
			s.again = 0
		}
		t := s.lefts[s.again]
		v, err := s.state(t)
		if err == nil && v == 1-target {
			s.again++
		} else {
			s.lefts[s.again] = s.lefts[len(s.lefts)-1]
			s.lefts = s.lefts[:len(s.lefts)-1]
			each(t, v, err != nil)
			if t.standing = switched; t.gone {
				s.drop(t)
			}
		}
		if s.late(deadline) {
			return
		}
	}
}

// finish gives up those that are left: the transition is over.
func (s *tasks) finish(each func(t *task)) {
	for _, t := range s.lefts {
		each(t)
		if t.standing = switched; t.gone {
			s.drop(t)
		}
	}
	s.lefts = nil
}

// late looks at the clock every fourth time: a look at it costs as much as
// one at a task.
func (s *tasks) late(deadline int64) bool {
	s.turn++
	return s.turn%4 == 0 && now() >= deadline
}

func (t *task) event(at int64, state int, exited bool) observe.Event {
	return observe.Event{T: at, Kind: observe.KindTask, Task: &observe.Task{
		PID: t.pid, TID: t.tid, Comm: t.comm, KThread: t.kthread, State: state, Exited: exited}}
}
