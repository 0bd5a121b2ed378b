// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"bytes"
	"errors"
	"strconv"

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
	fd       int // of its patch_state; -1 when there are too many
	standing standing
	walk     int // the walk that saw it last
	comm     string
	kthread  bool
}

// maxOpen bounds the descriptors kept open; tasks beyond are opened at each
// look. An open file of /proc costs the kernel about 1.5 KiB.
const maxOpen = 8192

// tasks is every task that /proc shows. The idle tasks (swapper/N) have no
// folder there and are never seen.
//
// All work is cut into steps, and each stops at the deadline it is given, so
// that a look is not late because there are thousands of tasks.
type tasks struct {
	root  string // /proc
	proc  *folder
	byTID map[int]*task
	order []*task // in the order they were found, for sweeps
	open  int
	buf   [512]byte
	path  []byte

	walking bool
	walk    int
	pids    []string // read and not yet visited
	threads []string

	cursor int // of sweep, in order
	again  int // of poll, in lefts
	lefts  []*task
	sought int // how many are unknown
	turn   int // of late
}

func newTasks(root string) (*tasks, error) {
	proc, err := openFolder(root)
	if err != nil {
		return nil, err
	}
	return &tasks{root: root, proc: proc, byTID: map[int]*task{}}, nil
}

func (s *tasks) close() {
	for _, t := range s.order {
		s.forget(t)
	}
	s.proc.close()
}

// discover walks over /proc until deadline; true when the walk is done. New
// tasks are taken in, those that have gone let go.
func (s *tasks) discover(deadline int64) bool {
	if !s.walking {
		s.walking = true
		s.walk++
		s.proc.rewind()
		s.pids = s.pids[:0]
	}
	for {
		for len(s.pids) > 0 {
			name := s.pids[len(s.pids)-1]
			s.pids = s.pids[:len(s.pids)-1]
			if pid, err := strconv.Atoi(name); err == nil {
				s.visit(pid, name)
			}
			if now() >= deadline {
				return false
			}
		}
		var more bool
		if s.pids, more = s.proc.next(s.pids[:0]); !more {
			break
		}
	}
	s.walking = false
	s.prune()
	return true
}

// visit takes in the threads of a process.
func (s *tasks) visit(pid int, name string) {
	dir, err := openFolderInto(s.root+"/"+name+"/task", s.buf[:])
	if err != nil {
		return // ended
	}
	s.threads = s.threads[:0]
	for more := true; more; {
		s.threads, more = dir.next(s.threads)
	}
	dir.close()
	kthread, looked := false, false
	for _, thread := range s.threads {
		tid, err := strconv.Atoi(thread)
		if err != nil {
			continue
		}
		if t := s.byTID[tid]; t != nil && t.pid == pid {
			t.walk = s.walk
			continue
		}
		if !looked { // once a process
			kthread, looked = s.isKThread(name), true
		}
		t := &task{pid: pid, tid: tid, fd: -1, walk: s.walk, kthread: kthread}
		if s.open < maxOpen {
			if t.fd, err = open(s.stateFile(t), unix.O_RDONLY); err != nil {
				continue
			}
			s.open++
		}
		s.byTID[tid] = t
		s.order = append(s.order, t)
		s.sought++
	}
}

// isKThread: a kernel thread has no program. The flags in stat would say it as
// well, and cost ten times as much.
func (s *tasks) isKThread(pid string) bool {
	_, err := unix.Readlink(s.root+"/"+pid+"/exe", s.buf[:])
	return err == unix.ENOENT
}

func openFolderInto(path string, buf []byte) (folder, error) {
	fd, err := open(path, unix.O_RDONLY|unix.O_DIRECTORY)
	return folder{fd: fd, buf: buf}, err
}

func (s *tasks) stateFile(t *task) string { return s.file(t, "patch_state") }

func (s *tasks) file(t *task, name string) string {
	b := append(s.path[:0], s.root...)
	b = strconv.AppendInt(append(b, '/'), int64(t.pid), 10)
	b = strconv.AppendInt(append(b, "/task/"...), int64(t.tid), 10)
	s.path = append(append(b, '/'), name...)
	return string(s.path)
}

// prune lets go of tasks that the last whole walk did not meet.
func (s *tasks) prune() {
	kept := s.order[:0]
	for _, t := range s.order {
		// One that is left is the poll's to follow: its end is an event.
		if t.walk == s.walk || t.standing == left {
			kept = append(kept, t)
		} else {
			s.drop(t)
		}
	}
	clear(s.order[len(kept):])
	s.order = kept
	s.cursor = 0 // its place has moved; those that are known are passed fast
}

func (s *tasks) drop(t *task) {
	if t.standing == unknown {
		s.sought--
	}
	s.forget(t)
	if s.byTID[t.tid] == t {
		delete(s.byTID, t.tid)
	}
}

func (s *tasks) forget(t *task) {
	if t.fd >= 0 {
		unix.Close(t.fd)
		t.fd = -1
		s.open--
	}
}

// restart makes all tasks unknown: a transition begins or turns round.
func (s *tasks) restart() {
	for _, t := range s.order {
		t.standing = unknown
	}
	s.sought, s.cursor, s.again, s.lefts = len(s.order), 0, 0, nil
}

var errGone = errors.New("the task has ended")

// state reads a task's patch_state.
func (s *tasks) state(t *task) (int, error) {
	fd := t.fd
	if fd < 0 {
		var err error
		if fd, err = open(s.stateFile(t), unix.O_RDONLY); err != nil {
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
			t.standing = switched
			s.lefts[s.again] = s.lefts[len(s.lefts)-1]
			s.lefts = s.lefts[:len(s.lefts)-1]
			s.name(t)
			each(t, v, err != nil)
		}
		if s.late(deadline) {
			return
		}
	}
}

// late looks at the clock every fourth time: a look at it costs as much as
// one at a task.
func (s *tasks) late(deadline int64) bool {
	s.turn++
	return s.turn%4 == 0 && now() >= deadline
}

// identify names tasks that were left, until deadline: those that stay left
// are named before they go.
func (s *tasks) identify(deadline int64) {
	for _, t := range s.lefts {
		if t.comm == "" {
			if s.name(t); s.late(deadline) {
				return
			}
		}
	}
}

func (s *tasks) name(t *task) {
	if t.comm == "" {
		if b, err := readFile(s.file(t, "comm"), s.buf[:]); err == nil {
			t.comm = string(bytes.TrimSuffix(b, []byte{'\n'}))
		}
	}
}

func (t *task) event(at int64, state int, exited bool) observe.Event {
	return observe.Event{T: at, Kind: observe.KindTask, Task: &observe.Task{
		PID: t.pid, TID: t.tid, Comm: t.comm, KThread: t.kthread, State: state, Exited: exited}}
}
