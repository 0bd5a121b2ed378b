// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
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
// timeline: see observe.Fence.
func (g *Guest) Fence(ctx context.Context) error {
	return g.orDeath(observe.Fence(g.rec.mark, func(line string) error {
		return g.Client.WriteFile(ctx, "/dev/kmsg", []byte(line))
	}, func(from int, right func(observe.Event) bool) error {
		return g.rec.wait(ctx, from, func(e observe.Event) (bool, error) { return right(e), nil })
	}))
}

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
