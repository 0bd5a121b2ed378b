// SPDX-License-Identifier: Apache-2.0

// Package observe is the timeline: one append-only, typed event log of
// everything a run saw and did, each event stamped with its clock.
//
// All reports are computed from it and from nothing else. What lives here:
// event types, the on-disk log, queries that select and pair events, what the
// guest and the host do alike to have events whole (Fence). What must
// not: judgements (package check), anything that knows of QEMU, and the
// sampling itself (package sampler, which runs in the guest).
package observe

import (
	"encoding/json"
	"time"
)

// The clocks an event can be stamped with. Stamps of different clocks are not
// comparable: under TCG the guest's clock can run at another pace. An event of
// kind Offset ties the two together.
const (
	// Guest is CLOCK_MONOTONIC of the guest, in ns since its boot.
	Guest = "guest-monotonic"
	// Host is CLOCK_MONOTONIC of the host, in ns since its boot.
	Host = "host-monotonic"
)

// The kinds of events; each has one payload field in Event.
const (
	KindAction     = "action"     // the harness does something, Action
	KindTransition = "transition" // an edge of a patch's transition, Transition
	KindSample     = "sample"     // the watcher looked, Sample
	KindTask       = "task"       // a task that was left is left no more, Task
	KindRound      = "round"      // the core tries to switch all tasks, Round
	KindSignal     = "signal"     // the core signals those that remain, Signal
	KindBlocker    = "blocker"    // a task in the way, examined, Blocker
	KindLoad       = "load"       // the counters of one load, Load
	KindKernelLog  = "klog"       // a record of the kernel's log, KernelLog
	KindWatch      = "watch"      // a watcher is up, Watch
	KindCost       = "cost"       // what watching cost, Cost
	KindLost       = "lost"       // events were lost, Lost
	KindLateness   = "lateness"   // how late a witness ran, Lateness
	KindTaken      = "taken"      // what the host took from a virtual CPU, Taken
	KindOffset     = "offset"     // both clocks at one moment, Offset
	KindQMP        = "qmp"        // an event from QEMU, Raw as it came
	KindDeath      = "death"      // the machine ended, Death
)

// Event is one line of the log. Exactly one payload is set, the one of Kind;
// a reader that does not know a kind keeps the event as it is.
type Event struct {
	Clock string `json:"clock"`
	T     int64  `json:"t"` // ns by Clock
	Kind  string `json:"kind"`
	// Seq counts the events of one source in the guest from 1, so that a
	// reader that was away knows what it missed; 0 for the host's own events.
	Seq uint64 `json:"seq,omitempty"`

	Action     *Action         `json:"action,omitempty"`
	Transition *Transition     `json:"transition,omitempty"`
	Sample     *Sample         `json:"sample,omitempty"`
	Task       *Task           `json:"task,omitempty"`
	Round      *Round          `json:"round,omitempty"`
	Signal     *Signal         `json:"signal,omitempty"`
	Blocker    *Blocker        `json:"blocker,omitempty"`
	Load       *Load           `json:"load,omitempty"`
	KernelLog  *KernelLog      `json:"klog,omitempty"`
	Watch      *Watch          `json:"watch,omitempty"`
	Cost       *Cost           `json:"cost,omitempty"`
	Lost       *Lost           `json:"lost,omitempty"`
	Lateness   *Lateness       `json:"lateness,omitempty"`
	Taken      *Taken          `json:"taken,omitempty"`
	Offset     *Offset         `json:"offset,omitempty"`
	Death      *Death          `json:"death,omitempty"`
	Tracing    *Tracing        `json:"tracing,omitempty"`
	Calls      *Calls          `json:"calls,omitempty"`
	Call       *Call           `json:"call,omitempty"`
	Step       *Step           `json:"step,omitempty"`
	Finding    *Finding        `json:"finding,omitempty"`
	Followed   *Followed       `json:"followed,omitempty"`
	Over       *Over           `json:"over,omitempty"`
	Raw        json.RawMessage `json:"raw,omitempty"`
}

// Action is something the harness did to the guest: "load", "disable",
// "unload", "start-load", …
type Action struct {
	Name   string `json:"name"`
	Detail string `json:"detail,omitempty"` // a module's name, a path
	// Edge is "begin" or "end"; "" for what has no duration.
	Edge  string `json:"edge,omitempty"`
	Error string `json:"error,omitempty"`
}

// The edges of a transition.
const (
	EdgeStart = "start" // `transition` went 0 -> 1
	EdgeEnd   = "end"   // `transition` went 1 -> 0, or the folder vanished
	// EdgeReplaced: an atomic replace took the patch out; it had no transition
	// of its own.
	EdgeReplaced = "replaced"
	// EdgeReverse: `enabled` changed while `transition` stayed 1.
	EdgeReverse = "reverse"
)

// The directions of a transition.
const (
	Apply  = "apply"  // towards the patched code; `enabled` is 1
	Revert = "revert" // towards the original code; `enabled` is 0
)

// Transition is an edge of one livepatch's transition.
type Transition struct {
	Patch string `json:"patch"` // the livepatch module's name
	Edge  string `json:"edge"`
	To    string `json:"to"` // Apply or Revert
	// Vanished: the folder in /sys/kernel/livepatch went away, which on a
	// disable can be the only sign of completion.
	Vanished bool `json:"vanished,omitempty"`
	// Unseen: the start lay between two looks and only its outcome was seen;
	// the stamp is the moment of that look.
	Unseen bool `json:"unseen,omitempty"`
	// Exact: stamped by the kernel's own tracing and not by a look at sysfs.
	Exact bool `json:"exact,omitempty"`
	// SincePrev is the time in ns since the look before, the resolution of
	// the stamp; 0 when Exact.
	SincePrev int64 `json:"since_prev,omitempty"`
}

// Sample is one look at the transition while one runs.
type Sample struct {
	Patch string `json:"patch"`
	To    string `json:"to"`
	// Left is the tasks that had not switched when they were last looked at;
	// with hundreds of them that can be some looks ago.
	Left  int `json:"left"`
	Total int `json:"total"` // tasks known
	// Unknown counts tasks that the watcher has not looked at since the
	// transition began; 0 means Left is complete but for tasks born since the
	// last scan and the idle tasks, which have no folder in /proc.
	Unknown int   `json:"unknown,omitempty"`
	LateNS  int64 `json:"late_ns"` // how late this look was
	CostNS  int64 `json:"cost_ns"` // CPU time this look took; 0 for the first
}

// Task is a task that was seen unswitched and is unswitched no more.
type Task struct {
	PID     int    `json:"pid"`
	TID     int    `json:"tid"`
	Comm    string `json:"comm"`
	KThread bool   `json:"kthread,omitempty"`
	// State is the patch_state it was seen with: 0, 1, or -1 when the
	// transition was over.
	State  int  `json:"state"`
	Exited bool `json:"exited,omitempty"` // it ended before it switched
}

// Round is the entry of klp_try_complete_transition, by function tracing.
type Round struct {
	N int `json:"n"` // from 1 within a transition
}

// Signal is the core's signal (for user tasks) or wake-up (for kthreads) to
// the tasks that remain.
type Signal struct {
	// Source is "trace" (klp_send_signals was entered) or "klog".
	Source string `json:"source"`
}

// The kinds of tasks that stand in the way.
const (
	UserTask = "user task"
	KThread  = "kthread"
	KWorker  = "kworker"
	IOWorker = "io worker"
	// IdleTask is swapper/N, the idle task of CPU N. It has no folder in /proc:
	// only the core's messages and the guest's memory tell of it.
	IdleTask = "idle task"
)

// The reasons a task is not switched, as far as /proc shows.
const (
	Running    = "running"           // on a CPU or waiting for one
	Asleep     = "asleep on patched" // sleeps with a patched function on its stack
	Unreliable = "unreliable stack"  // the core said so
	// Waiting: sleeps with no patched function on its stack. Its stack may be
	// unreliable, or the core has not looked at it since.
	Waiting = "asleep elsewhere"
)

// The witnesses that tell of a blocker.
const (
	ByProc   = "proc"   // its files in /proc
	ByCore   = "core"   // the debug messages of the kernel's livepatch core
	ByMemory = "memory" // the guest's memory, read from outside
)

// Blocker is a task in the way of a transition, examined.
type Blocker struct {
	PID    int    `json:"pid"`
	TID    int    `json:"tid"`
	Comm   string `json:"comm"`
	Kind   string `json:"kind"`
	Reason string `json:"reason"`
	// State is the letter of /proc/PID/stat: R, S, D, …
	State string `json:"state"`
	CPU   int    `json:"cpu"`
	// Function is the first patched function on the stack, else the top frame,
	// else the wait channel; "" when nothing is known.
	Function string   `json:"function,omitempty"`
	Patched  bool     `json:"patched,omitempty"` // Function is a patched one
	Stack    []string `json:"stack,omitempty"`   // outermost last, "name+0xoff/0xsize [module]"
	Wchan    string   `json:"wchan,omitempty"`
	Round    int      `json:"round,omitempty"` // 0: unknown

	// Work is the function of the work item that a kworker is in; "" where its
	// stack does not tell, as when it runs.
	Work string `json:"work,omitempty"`
	// Frame is the one at which the unwinder stops trusting an unreliable stack,
	// as far as that shows from /proc; "" if it does not.
	Frame string `json:"frame,omitempty"`
	// NoHZFull: its CPU has no tick while one task runs there.
	NoHZFull bool `json:"nohz_full,omitempty"`
	// VCPU: it has spent time as a CPU of a virtual machine (guest_time of
	// /proc/PID/stat).
	VCPU bool `json:"vcpu,omitempty"`
	// Witnesses say who told of it, ByProc, ByCore, ByMemory; none: ByProc.
	Witnesses []string `json:"witnesses,omitempty"`
	// Differ is a sentence where two witnesses do not agree, "" where they do.
	Differ string `json:"differ,omitempty"`
}

// Load is the counters of one load at one moment, from its start on.
type Load struct {
	ID         int    `json:"id"`
	Name       string `json:"name"`
	N          int    `json:"n"` // its workers
	Ops        uint64 `json:"ops"`
	Errors     uint64 `json:"errors"`
	FirstError string `json:"first_error,omitempty"`
	Dead       bool   `json:"dead,omitempty"` // its process ended by itself
	// Latency is of the operations since the event before of this load.
	Latency Latency `json:"latency,omitempty"`
}

// KernelLog is one record of /dev/kmsg.
type KernelLog struct {
	Seq      uint64 `json:"seq"`
	Level    int    `json:"level"`    // 0 emergency … 7 debug
	Facility int    `json:"facility"` // 0 kernel
	// US is the kernel's own stamp in us of its log clock, which is near
	// CLOCK_MONOTONIC and not the same.
	US   int64  `json:"us"`
	Text string `json:"text"`
}

// Watch says that a watcher is up: what happens in the guest from now on is
// seen.
type Watch struct {
	PeriodNS int64 `json:"period_ns"`
	Tasks    int   `json:"tasks"` // known at the start
	// Rounds and Signals say whether this kernel can be traced for them; if
	// not, their number is unknown and not 0.
	// (Of signals the kernel's log tells as well.)
	Rounds  bool   `json:"rounds"`
	Signals bool   `json:"signals"`
	Why     string `json:"why,omitempty"` // why not
	// PatchState: the kernel shows /proc/PID/patch_state.
	PatchState bool `json:"patch_state"`
	Realtime   bool `json:"realtime"` // the watcher runs at a real-time priority
}

// Cost is what the watcher took from the guest since the last such event.
type Cost struct {
	Looks     int   `json:"looks"`
	WallNS    int64 `json:"wall_ns"`
	CPUNS     int64 `json:"cpu_ns"`
	ScanNS    int64 `json:"scan_ns"`              // CPU time of the thread that looks for new tasks
	ExamineNS int64 `json:"examine_ns,omitempty"` // CPU time of the threads that examine blockers
	// TypicalNS is the median, over the looks of a transition, of the CPU time
	// from one look's begin to the next one's; 0 where there were none. An
	// emulated guest's clock goes on while the host runs others, so a sum counts
	// what was never the watcher's.
	TypicalNS int64 `json:"typical_ns,omitempty"`
	MaxCPUNS  int64 `json:"max_cpu_ns"`  // the dearest look of a transition
	MaxLateNS int64 `json:"max_late_ns"` // the latest look
}

// Sources of Lost, besides LostCalls.
const (
	LostKernelLog = "klog"
	LostRing      = "ring" // of anything, while the host did not read
)

// Lost says that the events of a source are not all here.
type Lost struct {
	Source string `json:"source"` // LostKernelLog, LostRing, "rounds", "log"
	N      uint64 `json:"n"`      // how many; 0 if unknown
}

// Offset is one moment on both clocks: T is the guest's, Host the host's,
// known to within Slack (the round trip that fetched it).
type Offset struct {
	Host  int64 `json:"host"`
	Slack int64 `json:"slack"`
}

// Death is the end of the machine.
type Death struct {
	Cause string `json:"cause"` // "panic", "shutdown", "reset", "killed", "silence", …
	Text  string `json:"text,omitempty"`
	// Console is the end of the serial console, which got what the agent could
	// no longer tell.
	Console []string `json:"console,omitempty"`
}

// At is T as a time since the clock's zero.
func (e Event) At() time.Duration { return time.Duration(e.T) }
