// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"fmt"
	"strings"
)

// hints are causes of death that the console or QEMU's own words give away,
// with what a person can do. %d in the advice is the machine's memory in MiB.
var hints = []struct{ sign, advice, source string }{
	{"System is deadlocked on memory", guestTooSmall, "kernel, mm/oom_kill.c: out_of_memory; seen from 64 to 160 MiB with a guest that eats memory"},
	{"Out of memory: Killed process", guestTooSmall, "kernel, mm/oom_kill.c: __oom_kill_process"},
	{"Initramfs unpacking failed: write error", guestTooSmall, "kernel, init/initramfs.c: the root file system is half of memory"},
	{"page allocation failure", guestTooSmall, "kernel, mm/page_alloc.c: warn_alloc"},
	{"cannot set up guest memory", hostTooSmall, "QEMU, softmmu/physmem.c: ram_block_add"},
	{"Cannot allocate memory", hostTooSmall, "QEMU, errno ENOMEM wherever it asks the host for memory"},
}

const (
	guestTooSmall = "%d MiB of memory may be too few for this guest: give it more with -mem"
	hostTooSmall  = "the host does not have the %d MiB that the guest is to get: give it less with -mem, or run fewer at once with -vms"
)

// quietMiB is the memory below which a guest that never says a word, or falls
// silent, may have too little: 6.1 and 6.12 hang at 8 MiB, reset at 32, speak
// from 64 on, and then may thrash for minutes.
const quietMiB = 128

// hint is the advice of the first sign found; "" without one.
func hint(e *Evidence, memMiB int, silent bool) string {
	for _, h := range hints {
		found := strings.Contains(e.Stderr, h.sign)
		for _, line := range e.Console {
			found = found || strings.Contains(line.Text, h.sign)
		}
		if found {
			return fmt.Sprintf(h.advice, memMiB)
		}
	}
	if (silent || len(e.Console) == 0 && e.Stderr == "") && memMiB < quietMiB {
		return fmt.Sprintf(guestTooSmall, memMiB)
	}
	return ""
}
