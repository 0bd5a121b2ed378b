// SPDX-License-Identifier: Apache-2.0

package observe

// The kinds of events of the calls of patched functions; see package calls.
const (
	KindTracing = "tracing" // from now on calls are seen, Tracing
	KindCalls   = "calls"   // the calls of one interval, Calls
	KindCall    = "call"    // one that matters by itself, Call
)

// LostCalls is the Lost.Source of calls.
const LostCalls = "calls"

// The contexts that a call can be in.
const (
	InSystemCall = "system call" // a user task, in the kernel on its own behalf
	InKThread    = "kthread"
	InKWorker    = "kworker"
	InIdle       = "idle"
	InSoftIRQ    = "softirq"
	InTasklet    = "tasklet"
	InHardIRQ    = "hard interrupt"
	InNMI        = "nmi"
)

// Original is the Version of the kernel's own code.
const Original = ""

// TracedFunction is a patched function whose calls are to be seen.
type TracedFunction struct {
	Object string `json:"object"`
	Name   string `json:"name"`
	Sympos uint64 `json:"sympos,omitempty"`
	New    string `json:"new,omitempty"` // the replacement in the patch's module
}

// TracedPatch is a livepatch and the functions it replaces.
type TracedPatch struct {
	Patch     string           `json:"patch"` // the livepatch module's name
	Replace   bool             `json:"replace,omitempty"`
	Functions []TracedFunction `json:"functions"`
}

// Tracing says what calls are seen of from now on; without a patch it says only
// which cannot be.
type Tracing struct {
	TracedPatch
	// Exact: intervals are cut where the core found the last task switched, so
	// that a call after that can be told from one before.
	Exact bool `json:"exact,omitempty"`
	// Unseen says of functions why their calls are not seen, by "object:name".
	Unseen map[string]string `json:"unseen,omitempty"`
	Why    string            `json:"why,omitempty"` // why none are
}

// Calls are those of one interval. In it lies no moment at which a transition
// began or its last task had switched, where Tracing says Exact.
type Calls struct {
	From int64 `json:"from"` // ns of the guest's clock; Event.T is the end
	// Moving: a transition was under way. Both versions are right then.
	Moving bool        `json:"moving,omitempty"`
	Counts []CallCount `json:"counts"`
	// Events were read for it, and reading them took CPUNS.
	Events uint64 `json:"events"`
	CPUNS  int64  `json:"cpu_ns"`
}

// CallCount is how often a function was called by one caller in one context.
type CallCount struct {
	Object  string `json:"object"`
	Name    string `json:"name"`
	Sympos  uint64 `json:"sympos,omitempty"`
	Version string `json:"version,omitempty"` // Original, or the patch's module
	Caller  string `json:"caller,omitempty"`  // "name" or "name [module]"
	Context string `json:"context"`
	N       uint64 `json:"n"`
	First   int64  `json:"first"` // ns of the guest's clock
	Last    int64  `json:"last"`
}

// Call is the first call of a replacement, or one of a version whose time was
// over.
type Call struct {
	Object  string `json:"object"`
	Name    string `json:"name"`
	Sympos  uint64 `json:"sympos,omitempty"`
	Version string `json:"version,omitempty"`
	Caller  string `json:"caller,omitempty"`
	Context string `json:"context"`
	TID     int    `json:"tid"`
	Comm    string `json:"comm,omitempty"` // "" if the task was gone
	CPU     int    `json:"cpu"`
}
