// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"bytes"
	"context"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// scout walks over /proc for the watcher and tells it of tasks that came and
// went, each with its patch_state opened.
//
// It is a thread apart, and an ordinary one. To look up /proc/PID of a task
// that is ending may spin in the kernel until the ending task has got on
// (d_invalidate, shrink_dcache_parent): at a real-time priority that is until
// the kernel's brake stops us, seen as stops of a second on 6.12.
type scout struct {
	root  string // /proc
	gate  *Gate
	news  chan news
	hurry chan struct{} // begin a walk now
	quick atomic.Bool   // a transition runs
	cpu   atomic.Int64  // ns of this thread
	open  atomic.Int64  // descriptors; the watcher closes them
	most  int64         // of them

	known   map[int]*task // by tid
	walk    int
	buf     [4 << 10]byte
	threads []string
}

// news is a task that came, or one that is gone.
type news struct {
	task *task
	gone bool
}

// maxOpen bounds the descriptors kept open; tasks beyond are opened at each
// look. An open file of /proc costs the kernel about 1.5 KiB.
const maxOpen = 8192

// keptOpen is maxOpen where the process may open so many: half of its limit is
// for others.
func keptOpen() int64 {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return maxOpen / 16
	}
	return int64(min(maxOpen, limit.Cur/2))
}

// How long the scout rests between two walks, in and out of a transition. A
// walk costs some 40 us a task under TCG.
const (
	restQuick = 500 * time.Millisecond
	restIdle  = 2 * time.Second
	// restShare is how many times its own CPU time a walk is followed by rest: a
	// guest with thousands of tasks must not be busy with being watched.
	restShare = 100
	restMost  = 20 * time.Second
)

func newScout(root string) *scout {
	return &scout{root: root, news: make(chan news, 256), hurry: make(chan struct{}, 1), known: map[int]*task{}, most: keptOpen()}
}

// run walks until ctx ends; first is closed after the first walk.
func (s *scout) run(ctx context.Context, first chan<- struct{}) error {
	ordinaryThread()
	proc, err := openFolder(s.root)
	if err != nil {
		return err
	}
	defer proc.close()
	for ctx.Err() == nil {
		began := clock(unix.CLOCK_THREAD_CPUTIME_ID)
		s.survey(ctx, proc)
		if first != nil {
			close(first)
			first = nil
		}
		cpu := clock(unix.CLOCK_THREAD_CPUTIME_ID)
		s.cpu.Store(cpu)
		rest := restIdle
		if s.quick.Load() {
			rest = restQuick
		}
		rest = max(rest, min(restShare*time.Duration(cpu-began), restMost))
		select {
		case <-time.After(rest):
		case <-s.hurry:
		case <-ctx.Done():
		}
		s.gate.Wait(ctx)
	}
	return ctx.Err()
}

// survey is one walk.
func (s *scout) survey(ctx context.Context, proc *folder) {
	s.walk++
	proc.rewind()
	var pids []string
	for more := true; more && ctx.Err() == nil; {
		pids, more = proc.next(pids[:0])
		for _, name := range pids {
			if pid, err := strconv.Atoi(name); err == nil {
				s.visit(ctx, pid, name)
			}
		}
	}
	if ctx.Err() != nil {
		return
	}
	for tid, t := range s.known {
		if t.walk != s.walk {
			delete(s.known, tid)
			s.tell(ctx, news{t, true})
		}
	}
}

// tell hands a news on. The watcher closes the descriptors of the tasks that it
// hears of; of others, at the end, nobody else would.
func (s *scout) tell(ctx context.Context, n news) {
	select {
	case s.news <- n:
	case <-ctx.Done():
		if !n.gone && n.task.fd >= 0 {
			unix.Close(n.task.fd)
		}
	}
}

// visit takes in the threads of a process.
func (s *scout) visit(ctx context.Context, pid int, name string) {
	fd, err := open(s.root+"/"+name+"/task", unix.O_RDONLY|unix.O_DIRECTORY)
	if err != nil {
		return // ended
	}
	dir := folder{fd: fd, buf: s.buf[:]}
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
		if t := s.known[tid]; t != nil && t.pid == pid {
			t.walk = s.walk
			continue
		}
		if !looked { // once a process
			kthread, looked = s.isKThread(name), true
		}
		t := &task{pid: pid, tid: tid, fd: -1, walk: s.walk, kthread: kthread, file: s.root + "/" + name + "/task/" + thread + "/patch_state"}
		if b, err := readFile(s.root+"/"+name+"/task/"+thread+"/comm", s.buf[:]); err == nil {
			t.comm = string(bytes.TrimSuffix(b, []byte{'\n'}))
		}
		if s.open.Load() < s.most {
			t.fd, err = open(t.file, unix.O_RDONLY)
			switch err {
			case nil:
				s.open.Add(1)
			case unix.EMFILE, unix.ENFILE:
				t.fd = -1 // others have them: it is opened at each look
			default:
				continue // ended
			}
		}
		s.known[tid] = t
		s.tell(ctx, news{t, false})
	}
}

// isKThread: a kernel thread has no program. The flags in stat would say it as
// well, and cost ten times as much.
func (s *scout) isKThread(pid string) bool {
	_, err := unix.Readlink(s.root+"/"+pid+"/exe", s.buf[:])
	return err == unix.ENOENT
}
