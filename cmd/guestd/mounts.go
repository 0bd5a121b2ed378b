// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/hashicorp/go-multierror"
)

// mounts are the file systems the agent wants, in order, each with the reason.
// One that is mounted already (by an init before us) stays.
var mounts = []struct {
	kind, target string
	flags        uintptr
	optional     bool // a kernel may be built without it
	why          string
}{
	{"proc", "/proc", 0, false, "patch_state and stacks of all tasks; the loads read it"},
	{"sysfs", "/sys", 0, false, "livepatch's state and switches; which port is ours"},
	{"devtmpfs", "/dev", 0, false, "the port, the console, kmsg"},
	{"tmpfs", "/tmp", 0, false, "files that the host puts"},
	{"tmpfs", "/run", 0, false, "what programs expect to write to"},
	{"debugfs", "/sys/kernel/debug", 0, true, "knobs of test modules; dynamic debug of the livepatch core"},
	{"tracefs", "/sys/kernel/tracing", 0, true, "rounds of a transition; calls of patched functions"},
	{"cgroup2", "/sys/fs/cgroup", 0, true, "the freezer and CPU limits, for cases that need tasks held still"},
}

func mountAll() error {
	var problems *multierror.Error
	for _, m := range mounts {
		err := os.MkdirAll(m.target, 0o755)
		if err == nil && mounted(m.target) {
			continue
		}
		if err == nil {
			err = syscall.Mount(m.kind, m.target, m.kind, m.flags, "")
		}
		switch {
		case err == nil:
		case m.optional && (errors.Is(err, syscall.ENODEV) || errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission)):
			// Not in this kernel; hello says what follows from it.
		default:
			problems = multierror.Append(problems, fmt.Errorf("mount %s on %s (%s): %w", m.kind, m.target, m.why, err))
		}
	}
	return problems.ErrorOrNil()
}

// mounted says whether something is mounted at dir: it is then another device
// than the folder above. The kernel itself would mount once more on top.
func mounted(dir string) bool {
	var here, above syscall.Stat_t
	return syscall.Stat(dir, &here) == nil && syscall.Stat(dir+"/..", &above) == nil && here.Dev != above.Dev
}
