// SPDX-License-Identifier: Apache-2.0

package report

// Calls is which patched functions were called, in which version, by whom and
// in which contexts, as function tracing saw it. Stamps are of the guest's
// CLOCK_MONOTONIC; 0 for never.
type Calls struct {
	Old uint64 `json:"old"` // calls that ran the kernel's own code
	New uint64 `json:"new"` // calls that ran a replacement
	// Lost is trace events that are not here. With any, the figures are too low
	// and nothing is concluded from them.
	Lost      uint64           `json:"lost"`
	LastOldNS int64            `json:"last_old_ns"`
	Functions []CalledFunction `json:"functions"`
	// Unexercised are the functions ("object:name") whose replacement nobody
	// called, though it was applied.
	Unexercised []string `json:"unexercised"`
	// Late are calls that ran a version whose time was over, as far as they are
	// told one by one.
	Late []LateCall `json:"late,omitempty"`
	// Void says why nothing is concluded; "" if the figures are whole.
	Void string    `json:"void,omitempty"`
	Cost CallsCost `json:"cost"`
	// Consistency is what the history of the calls allows; null while nobody
	// computed it.
	Consistency *Consistency `json:"consistency"`
}

// CalledFunction is the calls of one patched function.
type CalledFunction struct {
	Object string `json:"object"`
	Name   string `json:"name"`
	Sympos uint64 `json:"sympos"`
	Old    uint64 `json:"old"`
	New    uint64 `json:"new"`
	// Versions tells New apart by the patches' modules.
	Versions map[string]uint64 `json:"versions,omitempty"`
	// AfterCompletion is the calls that ran a version whose time was over: the
	// one below after an apply was complete, the patch's after its revert was.
	AfterCompletion uint64            `json:"after_completion"`
	FirstNewNS      int64             `json:"first_new_ns"`
	LastOldNS       int64             `json:"last_old_ns"`
	Callers         []Caller          `json:"callers"`  // the most frequent first
	Contexts        map[string]uint64 `json:"contexts"` // calls in each
	// Unseen says why this function's calls are not all seen; "" if they are.
	Unseen string `json:"unseen,omitempty"`
}

// Caller is a function that called a patched one.
type Caller struct {
	Function string `json:"function"` // "name" or "name [module]"
	N        uint64 `json:"n"`
}

// LateCall is one call of a version whose time was over.
type LateCall struct {
	Function string `json:"function"` // "object:name"
	Version  string `json:"version"`  // "" for the kernel's own, else the patch's module
	Caller   string `json:"caller"`
	Context  string `json:"context"`
	Task     string `json:"task"`
	PID      int    `json:"pid"`
	GuestNS  int64  `json:"guest_ns"`
	// After is the transition after whose completion it came ("apply of fix"),
	// AfterNS how long after.
	After   string `json:"after"`
	AfterNS int64  `json:"after_ns"`
}

// CallsCost is what seeing the calls took from the guest. What the kernel
// spends on each traced call is not in it.
type CallsCost struct {
	Events uint64 `json:"events"` // read from the kernel's buffers
	CPUNS  int64  `json:"cpu_ns"` // of the guest, to read and count them
}

// Consistency is the strongest consistency that a history of calls allows.
type Consistency struct {
	Leave  string `json:"leave"`
	Switch string `json:"switch"`
}
