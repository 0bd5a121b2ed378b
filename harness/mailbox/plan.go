// SPDX-License-Identifier: Apache-2.0

// Package mailbox is what host and guest say to each other in a deterministic
// run, where nothing may reach the guest at a time of the host's choosing: a
// plan lies ready when the guest goes on, results leave through a serial port
// into a file.
//
// Both ends share what lives here: the plan, its encoding, the results, the
// limits. What must not: how a plan comes from a seed and what results mean
// (harness/run), how the guest carries it out (cmd/guestd), QEMU's command
// line (harness/vm).
//
// A guest is not trusted: see Read.
package mailbox

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/observe"
)

// BlobName is the fw_cfg file that holds the plan.
const BlobName = "opt/org.switchyard/plan"

// Argument on the kernel's command line has the agent serve a mailbox and no
// channel.
const Argument = "switchyard.mailbox"

// Port is the serial port that results leave by, as the guest names it.
const Port = "/dev/ttyS1"

// Plan is what the guest is to do. All times are ns of the guest's
// CLOCK_MONOTONIC.
type Plan struct {
	// Seed is what the rest was varied by; the guest itself draws nothing.
	Seed int64    `json:"seed"`
	With []Module `json:"with,omitempty"` // to be there first, in order
	// Patches are stacked in order.
	Patches []Patch `json:"patches"`
	// Loads are started in this order.
	Loads          []Load `json:"loads,omitempty"`
	BeforeApplyNS  int64  `json:"before_apply_ns,omitempty"`
	BeforeRevertNS int64  `json:"before_revert_ns,omitempty"`
	// StallAfterNS is when a transition counts as stalled.
	StallAfterNS int64 `json:"stall_after_ns"`
	// Calls has the calls of the patched functions seen.
	Calls bool `json:"calls,omitempty"`
	// Lateness: it is measured how late who must run at once runs; nil: not.
	Lateness *Lateness `json:"lateness,omitempty"`
}

// Lateness is how it is measured.
type Lateness struct {
	// Timer: With holds the module of the second witness.
	Timer bool `json:"timer"`
	// SettleNS is how long nothing else is done before the first patch, and
	// again when all are applied.
	SettleNS int64 `json:"settle_ns"`
}

// Module is a module's file.
type Module struct {
	Name    string `json:"name"` // as in /proc/modules
	Size    int    `json:"size"` // of Content
	Content []byte `json:"-"`
}

// Patch is a livepatch module and what there is to look at.
type Patch struct {
	Module
	Functions []string `json:"functions,omitempty"` // the patched ones
	Probes    []string `json:"probes,omitempty"`    // files to read
	// Traced are the functions with their replacements, for Plan.Calls.
	Traced  []observe.TracedFunction `json:"traced,omitempty"`
	Replace bool                     `json:"replace,omitempty"` // it replaces all patches before it
}

// Load is a load and how long to wait before it is started.
type Load struct {
	load.Spec
	DelayNS int64 `json:"delay_ns,omitempty"`
}

// The blob: header, JSON, the modules' contents, zeros up to Size. The header
// is magic, the length of the JSON, the length of JSON and contents together,
// and their CRC-32, little-endian. The size is always the same, because a
// snapshot's forks must have the same files as the machine that was saved.
const (
	Size       = 4 << 20
	HeaderSize = 8 + 3*4
	magic      = "SWYPLAN1"
)

// Empty is the blob of a machine that is to be saved: no plan yet.
func Empty() []byte { return make([]byte, Size) }

// ErrTooLarge is for plans that a blob cannot hold.
var ErrTooLarge = errors.New("the plan does not fit")

// Encode makes the blob.
func Encode(p Plan) ([]byte, error) {
	var contents [][]byte
	for _, m := range p.modules() {
		m.Size = len(m.Content)
		contents = append(contents, m.Content)
	}
	text, err := json.Marshal(p)
	if err != nil {
		return nil, err
	}
	body := append(text, bytes.Join(contents, nil)...)
	if most := Size - HeaderSize; len(body) > most {
		return nil, fmt.Errorf("%w: modules and all it says take %d bytes, the most is %d; strip debug information from prebuilt modules", ErrTooLarge, len(body), most)
	}
	blob := make([]byte, 0, Size)
	blob = append(blob, magic...)
	blob = binary.LittleEndian.AppendUint32(blob, uint32(len(text)))
	blob = binary.LittleEndian.AppendUint32(blob, uint32(len(body)))
	blob = binary.LittleEndian.AppendUint32(blob, crc32.ChecksumIEEE(body))
	return append(blob, body...)[:Size], nil
}

// modules are all modules in the order of their contents in the blob.
func (p *Plan) modules() []*Module {
	var all []*Module
	for i := range p.With {
		all = append(all, &p.With[i])
	}
	for i := range p.Patches {
		all = append(all, &p.Patches[i].Module)
	}
	return all
}

// Length reads the header: how many bytes follow it, 0 while there is no plan.
func Length(header []byte) int {
	if len(header) < HeaderSize || string(header[:8]) != magic {
		return 0
	}
	n := binary.LittleEndian.Uint32(header[12:])
	if n > Size-HeaderSize {
		return 0
	}
	return int(n)
}

// Decode reads header and body, whose length is Length(header). The modules'
// contents lie in body.
func Decode(header, body []byte) (Plan, error) {
	var p Plan
	if n := Length(header); n == 0 || n != len(body) {
		return p, errors.New("not a plan")
	}
	if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(header[16:]) {
		return p, errors.New("a plan that changed on its way")
	}
	text := int(binary.LittleEndian.Uint32(header[8:]))
	if text > len(body) {
		return p, errors.New("a plan that ends early")
	}
	if err := json.Unmarshal(body[:text], &p); err != nil {
		return p, fmt.Errorf("a plan: %w", err)
	}
	rest := body[text:]
	for _, m := range p.modules() {
		if m.Size < 0 || m.Size > len(rest) {
			return p, fmt.Errorf("a plan without all of module %s", m.Name)
		}
		m.Content, rest = rest[:m.Size:m.Size], rest[m.Size:]
	}
	return p, nil
}
