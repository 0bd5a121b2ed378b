// SPDX-License-Identifier: Apache-2.0

package toolroot

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/guard"
)

// entry is a way into the root.
type entry int

const (
	noEntryYet entry = iota
	asRoot           // namespaces made with the privileges there are
	asUser           // a user namespace, in which we are root
	bySudo           // sudo -n, and back to the caller's user inside
)

func (e entry) String() string {
	return [...]string{"none", "as root", "by a user namespace", "by sudo"}[e]
}

// entries are the ways tried for a user, best first.
func entries(uid int) []entry {
	if uid == 0 {
		// In a container root may lack CAP_SYS_ADMIN.
		return []entry{asRoot, asUser}
	}
	return []entry{asUser, bySudo}
}

// argv is the command that goes this way with the order in a file.
func (e entry) argv(order string) ([]string, error) {
	self, err := guard.Self()
	if err != nil {
		return nil, err
	}
	role := guard.RoleArgs(enterRole, order)
	if e != bySudo {
		return append([]string{self}, role...), nil
	}
	// Under sudo /proc/self/exe is sudo.
	program, err := os.Readlink(self)
	if err == nil {
		_, err = os.Stat(program)
	}
	if err != nil { // removed or replaced while it runs
		program = fmt.Sprintf("/proc/%d/exe", os.Getpid())
	}
	return append([]string{"sudo", "-n", "--", program}, role...), nil
}

// findEntry finds out, once, which way works here.
func (r *Root) findEntry(ctx context.Context) (entry, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.entry != noEntryYet || r.noEntry != nil {
		return r.entry, r.noEntry
	}
	var tried []string
	for _, way := range entries(os.Getuid()) {
		if way == bySudo {
			if _, err := exec.LookPath("sudo"); err != nil {
				continue
			}
		}
		err := r.enter(ctx, way, Job{}, true)
		var failed *setUpError
		switch {
		case err == nil:
			r.entry = way
			return way, nil
		case !errors.As(err, &failed):
			return noEntryYet, err // not an answer to be kept
		}
		tried = append(tried, fmt.Sprintf("%s: %s", way, failed.why))
	}
	r.noEntry = &kernels.Lacking{
		What:   "a way into the tool root",
		Err:    errors.New(strings.Join(tried, "; ")),
		Remedy: entryRemedy("/proc/sys"),
	}
	return noEntryYet, r.noEntry
}

// blockers are the settings that forbid user namespaces to users, each with
// the value that does so and one that does not.
//
// Sources: Ubuntu's apparmor_unprivileged_userns documentation; Debian's
// patch "add sysctl to disallow unprivileged CLONE_NEWUSER by default";
// namespaces(7), /proc/sys/user.
var blockers = []struct{ name, forbids, allows string }{
	{"kernel.apparmor_restrict_unprivileged_userns", "1", "0"},
	{"kernel.unprivileged_userns_clone", "0", "1"},
	{"user.max_user_namespaces", "0", "10000"},
}

// Blocker is a setting that keeps ordinary users from making user namespaces.
type Blocker struct {
	Setting string // as sysctl names it, with its value: "user.max_user_namespaces=0"
	Command string // what allows them
}

// Blockers are those of the machine whose settings are below sys, which is
// /proc/sys.
func Blockers(sys string) (found []Blocker) {
	for _, b := range blockers {
		value, err := os.ReadFile(filepath.Join(sys, strings.ReplaceAll(b.name, ".", "/")))
		if err == nil && strings.TrimSpace(string(value)) == b.forbids {
			found = append(found, Blocker{b.name + "=" + b.forbids, "sudo sysctl " + b.name + "=" + b.allows})
		}
	}
	return found
}

// entryRemedy says what to do on this machine, whose settings are below sys.
func entryRemedy(sys string) string {
	var commands []string
	for _, b := range Blockers(sys) {
		commands = append(commands, "`"+b.Command+"`")
	}
	if len(commands) == 0 {
		return "allow user namespaces (in a container: run it with --security-opt seccomp=unconfined or with more privileges), or let this user use sudo without a password"
	}
	return "run " + strings.Join(commands, " and ") + ", or let this user use sudo without a password"
}
