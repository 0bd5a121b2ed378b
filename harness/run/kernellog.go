// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// KernelLog is the kernel's own log as the agent has read it so far, a line
// each.
func (g *Guest) KernelLog() []string {
	var lines []string
	for _, e := range g.Timeline() {
		if e.KernelLog != nil && e.KernelLog.Facility == 0 {
			lines = append(lines, e.KernelLog.Text)
		}
	}
	return lines
}

// noise are lines that a kernel logs about any out-of-tree module.
var noise = []string{"loading out-of-tree module", "tainting kernel with", "module verification failed", "module license", "tracing and", "is a livepatch"}

// Fence waits until everything that the kernel has logged so far is on the
// timeline: until a line that it writes to the log comes back. Where a part of
// the log was lost the line may have been in it, and is written again: a kernel
// that says a lot overwrites what nobody has read yet. Of one that never stops,
// what was logged before the first line has come by the last, or was lost.
func (g *Guest) Fence(ctx context.Context) error {
	for lost, tries := true, 0; lost && tries < fenceTries; tries++ {
		lost = false
		mark := g.rec.mark()
		line := fmt.Sprintf("switchyard: fence %d", mark)
		if err := g.Client.WriteFile(ctx, "/dev/kmsg", []byte(line+"\n")); err != nil {
			return g.orDeath(err)
		}
		err := g.rec.wait(ctx, mark, func(e observe.Event) (bool, error) {
			lost = e.Lost != nil && (e.Lost.Source == observe.LostKernelLog || e.Lost.Source == observe.LostRing)
			return lost || e.KernelLog != nil && strings.Contains(e.KernelLog.Text, line), nil
		})
		if err != nil {
			return g.orDeath(err)
		}
	}
	return nil
}

// fenceTries bounds how often a fence's line is written.
const fenceTries = 20

// WaitKernelLog waits until enough says yes to the kernel's log.
func (g *Guest) WaitKernelLog(ctx context.Context, enough func(lines []string) bool) error {
	mark := g.rec.mark()
	if enough(g.KernelLog()) {
		return nil
	}
	return g.orDeath(g.rec.wait(ctx, mark, func(e observe.Event) (bool, error) {
		return e.KernelLog != nil && enough(g.KernelLog()), nil
	}))
}

// kernelWords are the lines that the kernel logged since mark.
func (g *Guest) kernelWords(ctx context.Context, mark int) []string {
	if g.Fence(ctx) != nil {
		return nil
	}
	return kernelWords(g.rec.since(mark))
}

// kernelWords are the lines of the kernel's that say something of their own.
func kernelWords(events observe.Timeline) []string {
	var words []string
	for _, e := range events {
		if e.KernelLog == nil || e.KernelLog.Facility != 0 {
			continue
		}
		text := e.KernelLog.Text
		if !slices.ContainsFunc(noise, func(n string) bool { return strings.Contains(text, n) }) {
			words = append(words, text)
		}
	}
	return words
}
