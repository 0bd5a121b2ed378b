// SPDX-License-Identifier: Apache-2.0

package mailbox

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// Everything the guest says is an observe.Event on a line. Those that are not
// about what was observed but about how the plan fares are of KindResult, and
// their Raw is a Result.
const KindResult = "result"

// Result has one field that is set.
type Result struct {
	// Ready is the first a guest says: it is about to be saved.
	Ready *Ready `json:"ready,omitempty"`
	// Began says that the plan is there.
	Began *Began `json:"began,omitempty"`
	// Failed ends a plan that could not be carried out.
	Failed *Failed `json:"failed,omitempty"`
	Probe  *Probe  `json:"probe,omitempty"`
	// Modules are all modules with their references, before the first patch
	// and after the last unload.
	Modules *Modules `json:"modules,omitempty"`
	// Started is a load that runs, Stuck one that makes no progress, Stopped
	// the last of one.
	Started *Started      `json:"started,omitempty"`
	Stuck   *Stuck        `json:"stuck,omitempty"`
	Stopped *observe.Load `json:"stopped,omitempty"`
	Refused *Refused      `json:"refused,omitempty"`
	// Followed is a transition that ended or stalled.
	Followed *Followed `json:"followed,omitempty"`
	// Unloaded is a patch's module that was unloaded, or not.
	Unloaded *Unloaded `json:"unloaded,omitempty"`
	// Over is the last that is said.
	Over *Over `json:"over,omitempty"`
}

// Ready is what the agent knows of its guest.
type Ready struct {
	Release  string   `json:"release"`
	Problems []string `json:"problems,omitempty"`
}

// Began repeats the seed.
type Began struct {
	Seed int64 `json:"seed"`
}

// Failed is what could not be done.
type Failed struct {
	What  string `json:"what"`
	Error string `json:"error"`
}

// When a probe is read, or modules are listed.
const (
	Before  = "before"  // the patch
	Patched = "patched" // it is applied
	After   = "after"   // the revert
)

// Probe is what a file said, at most MaxProbe bytes of it.
type Probe struct {
	When  string `json:"when"`
	Patch int    `json:"patch"` // index into Plan.Patches
	Path  string `json:"path"`
	Text  string `json:"text"`
	Error string `json:"error,omitempty"`
}

// Modules maps names to references.
type Modules struct {
	When string         `json:"when"`
	Refs map[string]int `json:"refs"`
	// Livepatches are those that the kernel still has.
	Livepatches []string `json:"livepatches,omitempty"`
}

// Started is a load and the id that its counters come under.
type Started struct {
	ID   int `json:"id"`
	Load int `json:"load"` // index into Plan.Loads
}

// Stuck is a load without progress.
type Stuck struct {
	ID int `json:"id"`
}

// Refused is the kernel's no to a patch.
type Refused struct {
	Patch int           `json:"patch"` // index into Plan.Patches
	Errno syscall.Errno `json:"errno"`
	Error string        `json:"error"`
}

// Followed is how a transition went.
type Followed struct {
	Patch int    `json:"patch"`
	To    string `json:"to"` // observe.Apply or observe.Revert
	Done  bool   `json:"done"`
	// Blockers are the tasks in the way when a stall was called.
	Blockers []observe.Blocker `json:"blockers,omitempty"`
}

// Unloaded is how the unload of a patch's module went.
type Unloaded struct {
	Patch int    `json:"patch"`
	Error string `json:"error,omitempty"`
}

// Over ends the results.
type Over struct{}

// Limits of what is taken from a guest.
const (
	// MaxResults bounds all results, in bytes: a transition that stalls for
	// 40 s makes about one MiB.
	MaxResults = 64 << 20
	// MaxLine bounds one line.
	MaxLine = 1 << 20
	// MaxProbe bounds the text of one probe.
	MaxProbe = 64 << 10
)

// HostileError says what a guest said that no agent of ours says.
type HostileError struct {
	Line int // from 1
	Text string
}

func (e *HostileError) Error() string {
	return fmt.Sprintf("the guest's results, line %d: %s", e.Line, e.Text)
}

// Entry is a line of the results. Result is nil for what was observed.
type Entry struct {
	observe.Event
	Result *Result
}

// Read reads what a guest said and gives each to take, which may end it with
// an error. A last line without end is what a machine that died leaves, and is
// left out. Whatever the guest wrote, Read holds one line of at most MaxLine
// bytes, reads at most MaxResults, and gives only events that a guest can know
// of, with its clock and numbers in order: else a *HostileError.
func Read(in io.Reader, take func(Entry) error) error {
	lines := bufio.NewReaderSize(io.LimitReader(in, MaxResults+1), MaxLine)
	var total int
	var last uint64
	for n := 1; ; n++ {
		line, err := lines.ReadSlice('\n')
		total += len(line)
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return &HostileError{n, fmt.Sprintf("longer than %d bytes", MaxLine)}
		case total > MaxResults:
			return &HostileError{n, fmt.Sprintf("more than %d bytes in all", MaxResults)}
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		e, err := parse(line)
		if err != nil {
			return &HostileError{n, err.Error()}
		}
		if e.Seq <= last {
			return &HostileError{n, fmt.Sprintf("number %d after %d", e.Seq, last)}
		}
		last = e.Seq
		if err := take(e); err != nil {
			return err
		}
	}
}

// whole says whether e is of a kind that a guest may tell of, with what belongs
// to it.
func whole(e *observe.Event) bool {
	switch e.Kind {
	case KindResult:
		return len(e.Raw) > 0
	case observe.KindAction:
		return e.Action != nil
	case observe.KindTransition:
		return e.Transition != nil
	case observe.KindSample:
		return e.Sample != nil
	case observe.KindTask:
		return e.Task != nil
	case observe.KindRound:
		return e.Round != nil
	case observe.KindSignal:
		return e.Signal != nil
	case observe.KindBlocker:
		return e.Blocker != nil
	case observe.KindLoad:
		if e.Load == nil {
			return false
		}
		_, err := e.Load.Latency.Histogram()
		return err == nil
	case observe.KindKernelLog:
		return e.KernelLog != nil
	case observe.KindWatch:
		return e.Watch != nil
	case observe.KindCost:
		return e.Cost != nil
	case observe.KindLost:
		return e.Lost != nil
	case observe.KindTracing:
		return e.Tracing != nil
	case observe.KindCalls:
		return e.Calls != nil
	case observe.KindCall:
		return e.Call != nil
	case observe.KindLateness:
		return e.Lateness != nil
	}
	return false
}

func parse(line []byte) (e Entry, err error) {
	if err := json.Unmarshal(line, &e.Event); err != nil {
		return e, err
	}
	switch {
	case !whole(&e.Event):
		return e, fmt.Errorf("not an event of a guest: %.40q", e.Kind)
	case e.Clock != observe.Guest || e.T < 0:
		return e, fmt.Errorf("a guest has one clock, from 0: %.40q, %d", e.Clock, e.T)
	case e.Offset != nil || e.Death != nil || e.Taken != nil:
		return e, errors.New("what only a host knows")
	}
	if e.Kind == KindResult {
		e.Result = &Result{}
		if err := json.Unmarshal(e.Raw, e.Result); err != nil {
			return e, err
		}
	} else if e.Raw != nil {
		return e, fmt.Errorf("a %s with a text of its own", e.Kind)
	}
	return e, nil
}
