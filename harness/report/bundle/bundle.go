// SPDX-License-Identifier: Apache-2.0

// Package bundle is the file that does a run again elsewhere: a compressed tar
// archive with a description in front, the modules, what they were made from,
// the logs, and, if asked for, the kernel.
//
// What lives here: the form, writing it, and reading one that a stranger made,
// within limits and into a folder of its own. What must not: starting a guest
// (package run), and trusting anything that such a file says.
package bundle

import (
	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/patch"
)

// Schema names the form of a bundle; docs/bundle.schema.json says what each
// field means. Fields are added, never renamed or removed.
const Schema = "switchyard.bundle/1"

// FileName is a bundle's name in the folder of its run, Suffix the end of every
// bundle's name.
const (
	Suffix   = ".tar.zst"
	FileName = "bundle" + Suffix
)

// ManifestFile is the first entry of the archive.
const ManifestFile = "bundle.json"

// Folders in a bundle.
const (
	ModulesDir   = "modules"   // the modules as the guest had them
	SourcesDir   = "sources"   // what they were made from
	LogsDir      = "logs"      // what the run saw
	KernelDir    = "kernel"    // the kernel itself, of a full bundle
	RecordingDir = "recording" // of a run with -record
)

// Manifest is bundle.json.
type Manifest struct {
	Schema  string  `json:"schema"`
	Made    Made    `json:"made"`
	Kernel  Kernel  `json:"kernel"`
	Image   Image   `json:"image"`
	Machine Machine `json:"machine"`
	// Patches are the stack in order, With the modules before it. Of a run that
	// was refused before there were modules both have sources only.
	Patches []Module `json:"patches"`
	With    []Module `json:"with"`
	// Loads are those that ran; never the word for "by the patch".
	Loads        []load.Spec `json:"loads"`
	StallAfterNS int64       `json:"stall_after_ns"` // guest time
	Futures      []string    `json:"futures,omitempty"`
	// Calls and Interruption say whether the calls of patched functions were
	// seen, and whether it was measured how long anybody is interrupted: a
	// verdict may rest on the first, and both are part of what a seed repeats.
	// nil in bundles from before there were these fields.
	Calls        *bool `json:"calls,omitempty"`
	Interruption *bool `json:"interruption,omitempty"`
	// Timer is the module of the measurement, where it had one: made again, it
	// would need the tools, and might differ in its bytes.
	Timer *Module `json:"timer,omitempty"`
	// Deterministic is there for runs by virtual time.
	Deterministic *Deterministic `json:"deterministic,omitempty"`
	Expected      string         `json:"expected"`
	Answer        Answer         `json:"answer"`
	// Command is the command line of the run: for people, nothing runs it.
	Command string `json:"command,omitempty"`
	// Case is there for a Go test's guest: its steps are code that is not here.
	Case *Case `json:"case,omitempty"`
	// Recording says that the files of a recorded run are here.
	Recording bool `json:"recording,omitempty"`
	// Files are all other entries, in their order.
	Files []File `json:"files"`
}

// Made are the versions of what made the run.
type Made struct {
	Switchyard string `json:"switchyard"`
	Go         string `json:"go"`
	QEMU       string `json:"qemu"`
}

// Kernel is what to find the very same kernel by.
type Kernel struct {
	Release  string `json:"release"` // uname -r
	Version  string `json:"version"` // upstream, with its packaging
	Source   string `json:"source"`  // "debian:bookworm-security"
	Provider string `json:"provider"`
	Selector string `json:"selector"` // for -kernel; of files at hand their path
	Flavour  string `json:"flavour,omitempty"`
	Checksum string `json:"checksum,omitempty"` // of what the provider makes it from
	// Sums are of what a guest starts from, the image first.
	Image  Sum   `json:"image"`
	Config Sum   `json:"config"`
	Needed []Sum `json:"needed"`         // the kernel's own modules in the image
	Full   bool  `json:"full,omitempty"` // KernelDir holds all of it
}

// Sum is a file's identity.
type Sum struct {
	Name   string `json:"name"`
	SHA256 string `json:"sha256"`
}

// Image is what the initramfs was made from.
type Image struct {
	SHA256   string `json:"sha256"` // of what went into it
	Agent    string `json:"agent"`  // SHA-256 of the agent
	Commands bool   `json:"commands,omitempty"`
	Files    []Sum  `json:"files,omitempty"` // of a case
}

// Machine is the guest's hardware.
type Machine struct {
	Accel  string   `json:"accel"`
	VCPUs  int      `json:"vcpus"`
	MemMiB int      `json:"mem_mib"`
	QEMU   string   `json:"qemu"`  // version and origin
	Start  string   `json:"start"` // "cold" or "fork"
	Append []string `json:"append,omitempty"`
}

// Deterministic is the seed of a run by virtual time.
type Deterministic struct {
	Seed           int64  `json:"seed"`
	TimelineSHA256 string `json:"timeline_sha256,omitempty"`
}

// Case is the Go test that a guest was of.
type Case struct {
	Name  string `json:"name"`
	Again string `json:"again"` // the command, for people
}

// Module is one module as it was in the guest.
type Module struct {
	Name   string `json:"name"`
	File   string `json:"file,omitempty"` // the entry; "" if it came to no module
	SHA256 string `json:"sha256,omitempty"`
	// Own: it came with the kernel.
	Own       bool          `json:"own,omitempty"`
	Route     string        `json:"route,omitempty"`
	Functions []Function    `json:"functions,omitempty"`
	Probes    []patch.Probe `json:"probes,omitempty"`
	// Source is what the user brought; nil of what did not come by itself.
	Source *Source `json:"source,omitempty"`
	// Cut are functions that `switchyard minimize` took out of the module: its
	// source still has them.
	Cut []Function `json:"cut,omitempty"`
}

// Function is one patched function.
type Function struct {
	Object string `json:"object"`
	Name   string `json:"name"`
	Sympos uint64 `json:"sympos,omitempty"`
}

// Source is what a module was made from.
type Source struct {
	Kind string `json:"kind"` // as patch.Kind
	// Open is the entry, a file or a folder, that is to be opened; of an
	// instrument its name.
	Open    string `json:"open"`
	Reverse bool   `json:"reverse,omitempty"`
	Replace bool   `json:"replace,omitempty"`
	Level   *int   `json:"level,omitempty"`
}

// File is one entry.
type File struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Mode is when a run writes a bundle: the values of -bundle.
type Mode string

// The modes.
const (
	Auto   Mode = "auto"   // of a run that is not as expected
	Always Mode = "always" // of every run
	Never  Mode = "never"
	Full   Mode = "full" // as Always, and the kernel with it
)

// Modes are all of them.
var Modes = []Mode{Auto, Always, Never, Full}
