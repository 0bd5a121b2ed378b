// SPDX-License-Identifier: Apache-2.0

package observe

import (
	"fmt"
	"strings"
)

// FenceTries bounds how often a fence's line is written.
const FenceTries = 20

// Fence waits until everything that a kernel has logged so far was read: until a
// line that write has it log comes back. Where a part of the log was lost the line
// may have been in it, and is written again: a kernel that says a lot overwrites
// what nobody has read yet. Of one that never stops, what was logged before the
// first line has come by the last, or was lost. mark is where the events are by
// now, and await waits for one behind a mark that is right. Errors: theirs.
func Fence[M any](mark func() M, write func(line string) error, await func(from M, right func(Event) bool) error) error {
	for lost, tries := true, 0; lost && tries < FenceTries; tries++ {
		from := mark()
		line := fmt.Sprintf("switchyard: fence %v", from)
		if err := write(line + "\n"); err != nil {
			return err
		}
		err := await(from, func(e Event) bool {
			lost = e.Lost != nil && (e.Lost.Source == LostKernelLog || e.Lost.Source == LostRing)
			return lost || e.KernelLog != nil && strings.Contains(e.KernelLog.Text, line)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
