// SPDX-License-Identifier: Apache-2.0

package toolroot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/kernels/guard"
)

// Job is a command to run inside the tool root.
type Job struct {
	// Argv is the program, looked up in the root's PATH, and its arguments.
	Argv []string
	// Env is the environment beside PATH, HOME and LC_ALL=C, which are set;
	// the host's is not passed on.
	Env []string
	// Dir is the working folder, a path inside the root; "" is "/".
	Dir string
	// Mounts are the host's folders and files that the job sees.
	Mounts []Bind
	// Stdin, Stdout, Stderr may be nil: nothing to read, output dropped.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Bind is a folder or file of the host at a place inside the root. The place
// is made if need be.
type Bind struct {
	Host, Inside string
	// Writable lets the job change it; else nothing can, not even as root.
	Writable bool
}

// ExitError says that a job ran and did not end well.
type ExitError struct {
	Program string
	// Status is its exit status, 128 and the number if a signal ended it.
	Status int
}

func (e *ExitError) Error() string {
	return fmt.Sprintf("%s ended with status %d", e.Program, e.Status)
}

// baseEnv is what every job gets. The DEB_ variables keep the Makefiles of
// Debian's headers from asking dpkg, which is not there.
var baseEnv = []string{
	"PATH=/usr/bin:/usr/sbin", "HOME=/tmp", "LC_ALL=C",
	"DEB_BUILD_ARCH=amd64", "DEB_HOST_ARCH=amd64", "DEB_HOST_GNU_TYPE=x86_64-linux-gnu",
}

// Run runs a job inside the root: it sees the root read-only, its Mounts, a
// /tmp of its own, null, zero, full, random and urandom in /dev, and no
// network. Files that it makes belong to the calling user. When ctx ends,
// everything that it started is killed, also what went into the background;
// and likewise when this process dies.
//
// Errors: *ExitError if the job failed, *kernels.Lacking if this machine
// offers no way in, the cause of ctx's end.
func (r *Root) Run(ctx context.Context, j Job) error {
	if len(j.Argv) == 0 {
		return errors.New("tool root: no command to run")
	}
	way, err := r.findEntry(ctx)
	if err != nil {
		return err
	}
	return r.enter(ctx, way, j, false)
}

// order is what the processes on the way in are told, through a file.
type order struct {
	Root, Dir string
	Argv, Env []string
	Binds     []Bind
	// Status is the file that the last of them writes to: ready, or what
	// went wrong on the way.
	Status string
	// Leash is a FIFO; when nobody has it open for writing any more, the
	// job dies. sudo lets no descriptor through, but paths.
	Leash string
	// UID and GID are the caller's.
	UID, GID int
	Entry    entry
	// Probe ends after the root is set up.
	Probe bool
}

// ready is the content of the status file when the job was about to start.
const ready = "ready"

// setUpError says that the root could not be entered in the way tried.
type setUpError struct{ why string }

func (e *setUpError) Error() string { return e.why }

func (r *Root) enter(ctx context.Context, way entry, j Job, probe bool) error {
	scratch, remove, err := guard.Scratch(os.TempDir(), "switchyard-enter")
	if err != nil {
		return fmt.Errorf("tool root: %w", err)
	}
	defer remove()
	o := order{
		Root: r.Dir, Dir: j.Dir, Argv: j.Argv, Env: append(append([]string{}, baseEnv...), j.Env...), Binds: j.Mounts,
		Status: filepath.Join(scratch, "status"), Leash: filepath.Join(scratch, "leash"),
		UID: os.Getuid(), GID: os.Getgid(), Entry: way, Probe: probe,
	}
	if o.Dir == "" {
		o.Dir = "/"
	}
	for _, b := range o.Binds {
		if !filepath.IsAbs(b.Host) || !filepath.IsAbs(b.Inside) {
			return fmt.Errorf("tool root: mount %s at %s: both must be absolute paths", b.Host, b.Inside)
		}
	}
	leash, err := o.write(scratch)
	if err != nil {
		return fmt.Errorf("tool root: %w", err)
	}
	var once sync.Once
	drop := func() { once.Do(func() { leash.Close() }) }
	defer drop()
	defer context.AfterFunc(ctx, drop)()

	argv, err := way.argv(filepath.Join(scratch, "order"))
	if err != nil {
		return err
	}
	c, err := guard.Command(ctx, nil, argv[0], argv[1:]...)
	if err != nil {
		return err
	}
	var said strings.Builder
	c.Stdin, c.Stdout, c.Stderr = j.Stdin, j.Stdout, j.Stderr
	if probe {
		c.Stderr = &said // sudo's complaint, for the error message
	}
	err = c.Run()
	if ctx.Err() != nil {
		return fmt.Errorf("%s in the tool root: %w", strings.Join(j.Argv, " "), context.Cause(ctx))
	}
	status, readErr := os.ReadFile(o.Status)
	if string(status) != ready {
		why := string(status)
		if readErr != nil || why == "" {
			why = strings.TrimSpace(fmt.Sprintf("%v %s", err, said.String()))
		}
		return &setUpError{why}
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return &ExitError{j.program(), exit.ExitCode()}
	}
	return err
}

func (j Job) program() string {
	if len(j.Argv) == 0 {
		return "the probe"
	}
	return j.Argv[0]
}

// write leaves the order, and the leash, in the scratch folder.
func (o order) write(scratch string) (leash *os.File, err error) {
	text, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(scratch, "order"), text, 0o600); err != nil {
		return nil, err
	}
	if err := unix.Mkfifo(o.Leash, 0o600); err != nil {
		return nil, fmt.Errorf("make %s: %w", o.Leash, err)
	}
	// For reading as well: opening a FIFO to write waits for a reader.
	return os.OpenFile(o.Leash, os.O_RDWR, 0)
}

func readOrder(path string) (o order, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return o, err
	}
	return o, json.Unmarshal(text, &o)
}

// say writes the status; the first word stays.
func (o order) say(text string) {
	f, err := os.OpenFile(o.Status, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return
	}
	defer f.Close()
	_, _ = f.WriteString(text)
}
