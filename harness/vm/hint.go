// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"fmt"
	"strings"
)

// hints are causes of death that the console or QEMU gives away, with what a
// person can do about them. %d is the machine's memory in MiB.
var hints = []struct {
	sign   string // part of a line
	advice string
	source string
}{
	{"System is deadlocked on memory", tooSmall, "mm/oom_kill.c: out_of_memory"},
}

const tooSmall = "%d MiB of memory are too few for this guest: give it more with -mem"

// hint is the advice of the first sign found; "" without one.
func (m *Machine) hint(e *Evidence) string {
	for _, h := range hints {
		if strings.Contains(e.Stderr, h.sign) {
			return fmt.Sprintf(h.advice, m.cfg.MemMiB)
		}
		for _, line := range e.Console {
			if strings.Contains(line.Text, h.sign) {
				return fmt.Sprintf(h.advice, m.cfg.MemMiB)
			}
		}
	}
	return ""
}
