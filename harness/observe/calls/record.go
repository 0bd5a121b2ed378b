// SPDX-License-Identifier: Apache-2.0

package calls

import "fmt"

// record is a trace entry that we know.
type record struct {
	t          int64
	cpu        int
	kind       kind
	level      level
	pid        int
	ip, parent uint64
}

type kind uint8

const (
	entered    kind = iota // a function
	softirqIn              // a tasklet's softirq began
	softirqOut             // it ended
	gap                    // records of this CPU are missing before
	born                   // a kernel thread was made, pid
)

// level is what interrupted what: each has a stack of calls of its own.
type level uint8

const (
	inTask level = iota
	inSoftIRQ
	inHardIRQ
	inNMI
)

// The bits of common_flags that tell (include/linux/trace_events.h: enum
// trace_flag_type), the same in all kernels since 5.10. The bit of softirqs
// stands for one that is being served, not for bottom halves that are off.
const (
	flagHardIRQ = 0x08
	flagSoftIRQ = 0x10
	flagNMI     = 0x40
)

// The softirqs that run tasklets (include/linux/interrupt.h: HI_SOFTIRQ,
// TASKLET_SOFTIRQ).
const (
	vecHi      = 0
	vecTasklet = 6
)

// decoder makes records of what lies in pages.
type decoder struct {
	layout   layout
	function format
	// Where the kernel cannot trace them their ids are -1, and tasklets count
	// as softirqs.
	softirqEntry, softirqExit format
	// newTask is there for kernel threads that are gone before anybody asks
	// what they were; its id may be -1 as well.
	newTask format
}

// The format files a decoder is made of, relative to tracefs; the last three
// may be empty.
const (
	fileHeader       = "events/header_page"
	fileFunction     = "events/ftrace/function/format"
	fileSoftIRQEntry = "events/irq/softirq_entry/format"
	fileSoftIRQExit  = "events/irq/softirq_exit/format"
	fileNewTask      = "events/task/task_newtask/format"
)

func newDecoder(read func(file string) string) (*decoder, error) {
	d := &decoder{softirqEntry: format{id: -1}, softirqExit: format{id: -1}, newTask: format{id: -1}}
	var err error
	if d.layout, err = parseLayout(read(fileHeader)); err != nil {
		return nil, err
	}
	if d.function, err = parseFormat(read(fileFunction), "common_type", "common_flags", "common_pid", "ip", "parent_ip"); err != nil {
		return nil, err
	}
	in, err1 := parseFormat(read(fileSoftIRQEntry), "vec")
	out, err2 := parseFormat(read(fileSoftIRQExit), "vec")
	if err1 == nil && err2 == nil {
		d.softirqEntry, d.softirqExit = in, out
	}
	if made, err := parseFormat(read(fileNewTask), "pid", "clone_flags"); err == nil {
		d.newTask = made
	}
	return d, nil
}

// page gives the records of a page of cpu's buffer; the first is a gap if some
// are missing before it. lost is how many, at least 1 then.
func (d *decoder) page(page []byte, cpu int, take func(record)) (lost uint64, err error) {
	var all []record
	n, missed, err := d.layout.read(page, func(t uint64, raw []byte) {
		if r, ok := d.record(int64(t), cpu, raw); ok {
			all = append(all, r)
		}
	})
	if missed {
		n = max(n, 1)
		first := int64(0)
		if len(all) > 0 {
			first = all[0].t
		}
		take(record{t: first, cpu: cpu, kind: gap})
	}
	for _, r := range all {
		take(r)
	}
	if err != nil {
		return n, fmt.Errorf("CPU %d: %w", cpu, err)
	}
	return n, nil
}

func (d *decoder) record(t int64, cpu int, raw []byte) (record, bool) {
	id := int(d.function.uint(raw, "common_type"))
	r := record{t: t, cpu: cpu}
	switch id {
	case d.function.id:
		r.kind = entered
		r.pid = int(int32(d.function.uint(raw, "common_pid")))
		r.ip, r.parent = d.function.uint(raw, "ip"), d.function.uint(raw, "parent_ip")
		switch flags := d.function.uint(raw, "common_flags"); {
		case flags&flagNMI != 0:
			r.level = inNMI
		case flags&flagHardIRQ != 0:
			r.level = inHardIRQ
		case flags&flagSoftIRQ != 0:
			r.level = inSoftIRQ
		}
		return r, r.ip != 0
	case d.softirqEntry.id:
		r.kind = softirqIn
		return r, tasklets(d.softirqEntry.uint(raw, "vec"))
	case d.newTask.id:
		r.kind, r.pid = born, int(int32(d.newTask.uint(raw, "pid")))
		return r, d.newTask.uint(raw, "clone_flags")&cloneUntraced != 0
	case d.softirqExit.id:
		r.kind = softirqOut
		return r, tasklets(d.softirqExit.uint(raw, "vec"))
	}
	return r, false
}

// cloneUntraced is CLONE_UNTRACED of include/uapi/linux/sched.h, by which the
// kernel makes its threads.
const cloneUntraced = 0x00800000

func tasklets(vec uint64) bool { return vec == vecHi || vec == vecTasklet }
