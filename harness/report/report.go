// SPDX-License-Identifier: Apache-2.0

// Package report is what people and machines read of runs: report.json, the
// table on a terminal.
//
// What must not live here: judgement (package check) and measurement
// (package observe). The JSON is a contract: fields are added, never renamed
// or removed; docs/report.schema.json says what each means.
package report

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/google/renameio/v2"

	"github.com/switchyard-project/switchyard/harness/patch/refusal"
	"github.com/switchyard-project/switchyard/kernels"
)

// Schema names the form of report.json.
const Schema = "switchyard.report/1"

// Report is the content of report.json.
type Report struct {
	Schema string `json:"schema"`
	Runs   []Run  `json:"runs"`
	// Searches are there for runs over many seeds; Runs are then examples.
	Searches []Search `json:"searches,omitempty"`
	// Cases are there in a report that was merged from logs of `go test -json`.
	Cases []Case `json:"cases,omitempty"`
	// Selftests are there for runs of kernels' own livepatch selftests.
	Selftests []Selftests `json:"selftests,omitempty"`
	// Repeats are there for runs that were repeated, one for each kernel.
	Repeats []Repeats `json:"repeats,omitempty"`
}

// Search is what many seeds came to on one kernel.
type Search struct {
	Release   string `json:"release"` // uname -r
	FirstSeed int64  `json:"first_seed"`
	Seeds     int    `json:"seeds"` // how many were tried, from FirstSeed on
	// Timelines is how many of them differ: interleavings.
	Timelines int     `json:"timelines"`
	Verdicts  []Found `json:"verdicts"` // the rarest first
}

// Found is a verdict and the seeds that came to it.
type Found struct {
	Verdict  string  `json:"verdict"`
	Expected bool    `json:"expected"`
	Count    int     `json:"count"`
	Seeds    []int64 `json:"seeds"`            // the lowest ones
	Reason   string  `json:"reason,omitempty"` // of the lowest
	Repro    string  `json:"repro,omitempty"`  // the command that shows that one again
}

// AsExpected says whether no seed needs anybody's attention.
func (s Search) AsExpected() bool {
	for _, f := range s.Verdicts {
		if !f.Expected {
			return false
		}
	}
	return true
}

// Run is one patch on one kernel once. Times named guest_… are of the guest's
// CLOCK_MONOTONIC, wall and cpu times of the host.
type Run struct {
	Kernel Kernel `json:"kernel"`
	Patch  Patch  `json:"patch"`
	Engine string `json:"engine"` // "native": the kernel's own livepatch
	Accel  string `json:"accel"`  // "kvm" or "tcg"
	Seed   *int64 `json:"seed,omitempty"`
	// Deterministic is there for runs by virtual time.
	Deterministic *Deterministic `json:"deterministic,omitempty"`
	Machine       Machine        `json:"machine"`
	Verdict       string         `json:"verdict"`
	Expected      string         `json:"expected"`
	Reason        string         `json:"reason,omitempty"`
	// CutOff says where a run ended that came to no end of its own, as when its
	// process was killed; "" for the others.
	CutOff string `json:"cut_off,omitempty"`
	// Refusals are why a diff cannot be a live patch on this kernel, found out
	// before any guest was started. The kernel's own no has none.
	Refusals []refusal.Refusal `json:"refusals,omitempty"`
	// Warnings say what the verdict does not cover.
	Warnings   []string   `json:"warnings,omitempty"`
	Transition Transition `json:"transition"`
	// Stack holds every patch of a stack in order; Transition is then that of
	// the last one. Absent for a single patch.
	Stack    []Stacked `json:"stack,omitempty"`
	Blockers []Blocker `json:"blockers,omitempty"`
	// Diagnosis says why the transitions went as they did, and what to do.
	Diagnosis []string `json:"diagnosis,omitempty"`
	// Observer is what watching took from the guest; absent if nobody watched.
	Observer *Observer `json:"observer,omitempty"`
	// Futures are there if they were asked for; empty when nothing stalled.
	Futures []Future `json:"futures,omitzero"`
	// Measured is what instruments (`switchyard patch count`, `time`) among the
	// patches measured from when they were applied until they were reverted.
	Measured []Measured `json:"measured,omitempty"`
	// Calls is null where nobody asked for it, or no guest got that far.
	Calls *Calls `json:"calls,omitempty"`
	// Interruption is how long anybody was interrupted; absent where it was not
	// measured.
	Interruption *Interruption `json:"interruption,omitempty"`
	Load         []Load        `json:"load,omitempty"`
	LogReports   []LogReport   `json:"log_reports,omitempty"`
	// KernelLog is what the kernel said from the first thing done to it on, at
	// most its last lines; KernelLogOmitted are those before them.
	KernelLog        []LogLine `json:"kernel_log,omitempty"`
	KernelLogOmitted int       `json:"kernel_log_omitted,omitempty"`
	Artifacts        Artifacts `json:"artifacts"`
	Steps            []Step    `json:"steps,omitempty"`
	// Repro is the command that does it again: with a bundle, the one that reads
	// that. Command is the command line of the run, where Repro is another.
	Repro       string `json:"repro,omitempty"`
	Command     string `json:"command,omitempty"`
	ElapsedNS   int64  `json:"elapsed_wall_ns"`
	HostMemByte int64  `json:"host_max_rss_bytes,omitempty"` // of this program
}

// Refused says that the patch was refused before any guest was started.
func (r Run) Refused() bool { return len(r.Refusals) > 0 }

// AsExpected says whether the run needs nobody's attention.
func (r Run) AsExpected() bool { return r.Verdict == r.Expected }

// Booted says whether a guest was started, so that there is evidence.
func (r Run) Booted() bool { return r.Accel != "" }

// Deterministic is what makes a run repeat to the byte, and the proof.
type Deterministic struct {
	Seed int64 `json:"seed"`
	// Shift is the virtual CPU's speed: an instruction takes 2^shift ns.
	Shift          int    `json:"shift"`
	TimelineSHA256 string `json:"timeline_sha256"` // of timeline.jsonl
	VirtualNS      int64  `json:"virtual_ns"`      // guest time from the plan's arrival to its end
}

// Kernel is the identity of the kernel of a run.
type Kernel struct {
	Release      string `json:"release"`
	Version      string `json:"version,omitempty"`
	Selector     string `json:"selector"`
	Source       string `json:"source"`
	ConfigSHA256 string `json:"config_sha256,omitempty"`
	// Capabilities are what the kernel can do, by their names in docs/kernels.md;
	// absent where nobody knows its config.
	Capabilities []kernels.Capability `json:"capabilities,omitempty"`
}

// Patch is the identity of what was tested.
type Patch struct {
	Name      string     `json:"name"`
	SHA256    string     `json:"sha256,omitempty"` // of the module's file
	Functions []Function `json:"functions"`
	// Route is how the module was built: "kbuild", "btf", "diff" or "prebuilt".
	Route string `json:"route,omitempty"`
	// Warnings are what to know of the module, a sentence each.
	Warnings []string `json:"warnings,omitempty"`
}

// Function is one patched function.
type Function struct {
	Object string `json:"object"`
	Name   string `json:"name"`
	Sympos uint64 `json:"sympos"`
}

// Machine is the guest and its cost.
type Machine struct {
	Start string `json:"start"` // "cold" or "fork"
	// Snapshot is what a fork started from; null for a cold start.
	Snapshot *Snapshot `json:"snapshot"`
	// SnapshotFailures are why snapshots were of no use before this start.
	SnapshotFailures []string `json:"snapshot_failures,omitempty"`
	StartWallNS      int64    `json:"start_wall_ns"` // to the agent's hello; of a fork, to its answer
	StartCPUNS       int64    `json:"start_cpu_ns"`  // of the QEMU process, to the agent's hello
	CPUNS            int64    `json:"cpu_ns"`        // of the QEMU process, whole run
	VCPUs            int      `json:"vcpus"`
	MemMiB           int      `json:"mem_mib"`
	QEMU             string   `json:"qemu"`
}

// Snapshot is the saved machine that a run was forked from.
type Snapshot struct {
	Name  string `json:"name"`   // in the cache: goldens/NAME
	AgeNS int64  `json:"age_ns"` // host's wall clock
}

// Measured is what was measured of one function.
type Measured struct {
	Object string `json:"object"`
	Name   string `json:"name"`
	Sympos uint64 `json:"sympos"`
	// Calls began; with Time, they ended.
	Calls uint64        `json:"calls"`
	Time  *MeasuredTime `json:"time,omitempty"`
}

// MeasuredTime is from entry to exit of a function's calls, in guest time.
type MeasuredTime struct {
	Started   uint64 `json:"started"` // calls that began
	TotalNS   int64  `json:"total_ns"`
	MeanNS    int64  `json:"mean_ns"`
	LongestNS int64  `json:"longest_ns"`
}

// LogReport is a complaint of the kernel.
type LogReport struct {
	Kind  string   `json:"kind"`
	Title string   `json:"title"`
	Text  []string `json:"text,omitempty"`
}

// LogLine is one record of the kernel's log.
type LogLine struct {
	GuestNS int64  `json:"guest_ns"` // by the guest's CLOCK_MONOTONIC, when it was read
	Level   int    `json:"level"`    // 0 emergency … 7 debug
	Text    string `json:"text"`
}

// Artifacts says where the evidence lies.
type Artifacts struct {
	Dir string `json:"dir"`
	// Recording is the file in Dir that `switchyard repro` replays the run by.
	Recording string `json:"recording,omitempty"`
	// Bundle is the file in Dir that does the run again elsewhere.
	Bundle string `json:"bundle,omitempty"`
}

// Step is one step of the run's pipeline and its wall time.
type Step struct {
	Name   string `json:"name"`
	WallNS int64  `json:"wall_ns"`
	Error  string `json:"error,omitempty"`
}

// WriteJSON writes the report, indented.
func (r Report) WriteJSON(w io.Writer) error {
	r.Schema = Schema
	// An empty list is written as one: readers need not expect null.
	if r.Runs == nil {
		r.Runs = []Run{}
	}
	for i := range r.Searches {
		if r.Searches[i].Verdicts == nil {
			r.Searches[i].Verdicts = []Found{}
		}
	}
	for i := range r.Selftests {
		if r.Selftests[i].Scripts == nil {
			r.Selftests[i].Scripts = []Script{}
		}
	}
	for i := range r.Runs {
		if r.Runs[i].Patch.Functions == nil {
			r.Runs[i].Patch.Functions = []Function{}
		}
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ") // one blank: with two, a large report is a fifth larger
	return e.Encode(r)
}

// Save writes report.json at path, whole or not at all.
func (r Report) Save(path string) error {
	f, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o644))
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer f.Cleanup()
	if err := r.WriteJSON(f); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return f.CloseAtomicallyReplace()
}
