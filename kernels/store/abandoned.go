// SPDX-License-Identifier: Apache-2.0

package store

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/switchyard-project/switchyard/kernels/guard"
)

// abandonedAfter is how long a scratch folder is left alone. Several containers
// may share a cache, and none sees the processes of the others.
const abandonedAfter = 24 * time.Hour

// RemoveAbandoned removes the scratch folders of processes that ended together
// with their keepers: the machine lost power, or their container was killed. It
// gives the bytes that were freed.
func (s *Store) RemoveAbandoned() (freed int64) {
	dirs, err := filepath.Glob(filepath.Join(s.Dir, "tmp", "*"))
	if err != nil {
		return 0
	}
	for _, dir := range dirs {
		if time.Since(lastUse(dir)) < abandonedAfter || runs(guard.ScratchOwner(dir)) {
			continue
		}
		bytes := size(dir)
		guard.RemoveAll(dir)
		if _, err := os.Lstat(dir); err != nil {
			freed += bytes
		}
	}
	return freed
}

// runs says whether there is a process of that id.
func runs(pid int) bool {
	return pid > 0 && !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
}
