// SPDX-License-Identifier: Apache-2.0

package calls

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// instance is a tracing instance of our own: it shares neither buffer nor
// filter with whatever else is traced in the guest.
type instance struct {
	tracefs, dir string
	*decoder
	pipes []int // trace_pipe_raw of each CPU
	page  []byte
}

const instanceName = "switchyard-calls"

// markers select the functions of kernel/livepatch/transition.c at whose
// entries intervals are cut. They are in the filter from the start, which must
// never be empty: an empty one would trace all functions.
const markers = "klp_*_transition"

// The entries that matter of them. From klp_complete_transition on every task
// has the target's patch_state, so that each call goes where it should.
const (
	markStart    = "klp_init_transition"
	markReverse  = "klp_reverse_transition"
	markComplete = "klp_complete_transition"
)

// openInstance sets the instance up, or finds it set up.
func openInstance(tracefs string, bufferKB int) (*instance, error) {
	i := &instance{tracefs: tracefs, dir: tracefs + "/instances/" + instanceName}
	err := os.Mkdir(i.dir, 0o755)
	if err == nil {
		err = i.setUp(bufferKB)
	} else if errors.Is(err, os.ErrExist) {
		err = nil
	}
	if err == nil {
		err = i.openPipes()
	}
	if err != nil {
		i.close()
		_ = os.Remove(i.dir)
		return nil, fmt.Errorf("no function tracing: %w", err)
	}
	return i, nil
}

func (i *instance) setUp(bufferKB int) error {
	steps := []struct{ file, value string }{
		{"tracing_on", "0"},
		{"trace_clock", "mono"}, // CLOCK_MONOTONIC, as our own stamps
		{"buffer_size_kb", strconv.Itoa(bufferKB)},
		{"set_ftrace_filter", markers},
	}
	for _, s := range steps {
		if err := i.write(s.file, unix.O_TRUNC, s.value); err != nil {
			return err
		}
	}
	names, err := i.filtered()
	if err != nil {
		return err
	}
	if !names[markStart] && !names[markComplete] {
		return errors.New("no function of the livepatch core can be traced")
	}
	if err := i.write("current_tracer", unix.O_TRUNC, "function"); err != nil {
		return err
	}
	// Where it cannot be done, tasklets count as softirqs.
	for _, e := range []string{"softirq_entry", "softirq_exit"} {
		filter := fmt.Sprintf("vec == %d || vec == %d", vecHi, vecTasklet)
		if i.write("events/irq/"+e+"/filter", unix.O_TRUNC, filter) != nil || i.write("events/irq/"+e+"/enable", unix.O_TRUNC, "1") != nil {
			break
		}
	}
	// Where this cannot be done, a kernel thread that is gone soon counts as a
	// user task.
	if i.write("events/task/task_newtask/filter", unix.O_TRUNC, fmt.Sprintf("clone_flags & %#x", cloneUntraced)) == nil {
		_ = i.write("events/task/task_newtask/enable", unix.O_TRUNC, "1")
	}
	return nil
}

// resize gives each CPU a buffer of another size.
func (i *instance) resize(kb int) error {
	return i.write("buffer_size_kb", unix.O_TRUNC, strconv.Itoa(kb))
}

func (i *instance) openPipes() (err error) {
	read := func(file string) string {
		dir := i.dir
		if _, err := os.Stat(filepath.Join(dir, file)); err != nil {
			dir = i.tracefs // 5.10's instances have no format of the page
		}
		b, _ := os.ReadFile(filepath.Join(dir, file))
		return string(b)
	}
	if i.decoder, err = newDecoder(read); err != nil {
		return err
	}
	i.page = make([]byte, i.layout.size)
	for cpu := 0; ; cpu++ {
		fd, err := unix.Open(fmt.Sprintf("%s/per_cpu/cpu%d/trace_pipe_raw", i.dir, cpu), unix.O_RDONLY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		if errors.Is(err, unix.ENOENT) && cpu > 0 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("trace_pipe_raw of CPU %d: %w", cpu, err)
		}
		i.pipes = append(i.pipes, fd)
	}
}

func (i *instance) close() {
	for _, fd := range i.pipes {
		unix.Close(fd)
	}
	i.pipes = nil
}

// on and off start and stop the tracing itself.
func (i *instance) on() error  { return i.write("tracing_on", unix.O_TRUNC, "1") }
func (i *instance) off() error { return i.write("tracing_on", unix.O_TRUNC, "0") }

// write writes words to a file, each with a call of its own: a filter takes
// one at a time, and takes effect when the file is closed.
func (i *instance) write(file string, flags int, words ...string) error {
	fd, err := unix.Open(i.dir+"/"+file, unix.O_WRONLY|unix.O_CLOEXEC|flags, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	for _, w := range words {
		if _, e := unix.Write(fd, []byte(w+"\n")); e != nil && err == nil {
			err = fmt.Errorf("%s: %s: %w", file, w, e)
		}
	}
	if e := unix.Close(fd); e != nil && err == nil {
		err = fmt.Errorf("%s: %w", file, e)
	}
	return err
}

// filter adds words to the functions that are traced; what the kernel does not
// know is an error, the others are added.
func (i *instance) filter(words ...string) error {
	if len(words) == 0 {
		return nil
	}
	return i.write("set_ftrace_filter", unix.O_APPEND, words...)
}

// filtered reads back what is traced: "name" or "name [module]".
func (i *instance) filtered() (map[string]bool, error) {
	b, err := os.ReadFile(i.dir + "/set_ftrace_filter")
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		name, rest, _ := strings.Cut(line, " ")
		if strings.HasPrefix(rest, "[") {
			name += " " + rest
		}
		names[name] = true
	}
	return names, nil
}

// sites is how many functions of the kernel and its modules ftrace knows of:
// "57344 pages:362 groups: 88".
func (i *instance) sites() (n int, ok bool) {
	b, err := os.ReadFile(i.tracefs + "/dyn_ftrace_total_info")
	if err != nil {
		return 0, false
	}
	_, err = fmt.Sscan(string(b), &n)
	return n, err == nil && n > 0
}

// mostPages bounds one drain of a CPU's buffer: a writer that is faster than
// we are must not hold us.
const mostPages = 1024

// drain takes what is in the buffers. lost is how many records are missing.
func (i *instance) drain(take func(record)) (lost uint64, err error) {
	for cpu, fd := range i.pipes {
		for range mostPages {
			n, e := unix.Read(fd, i.page)
			if e == unix.EINTR {
				continue
			}
			if e != nil || n <= 0 {
				break // EAGAIN: it is empty
			}
			missing, e := i.decoder.page(i.page[:n], cpu, take)
			lost += missing
			if e != nil && err == nil {
				err = e
			}
		}
	}
	return lost, err
}

// overrun is how many records the buffers had no room for, ever.
func (i *instance) overrun() (total uint64) {
	for cpu := range i.pipes {
		b, err := os.ReadFile(fmt.Sprintf("%s/per_cpu/cpu%d/stats", i.dir, cpu))
		if err != nil {
			continue
		}
		total += overrunOf(b)
	}
	return total
}

// overrunOf sums the lines of a stats file that are about losses.
func overrunOf(stats []byte) (total uint64) {
	for line := range bytes.Lines(stats) {
		key, value, _ := bytes.Cut(line, []byte(":"))
		switch string(key) {
		case "overrun", "commit overrun", "dropped events":
			n, _ := strconv.ParseUint(string(bytes.TrimSpace(value)), 10, 64)
			total += n
		}
	}
	return total
}
