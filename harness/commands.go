// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/switchyard-project/switchyard/images"
)

// ReadFile gives the content of a file in the guest.
func (v *VM) ReadFile(t testing.TB, path string) string {
	t.Helper()
	text, err := v.Client.ReadFile(v.ctx, path)
	if err != nil {
		t.Fatalf("read %s in the guest: %v", path, v.Explain(err))
	}
	return string(text)
}

// WriteFile writes text to a file in the guest, in one write.
func (v *VM) WriteFile(t testing.TB, path, text string) {
	t.Helper()
	if err := v.Client.WriteFile(v.ctx, path, []byte(text)); err != nil {
		t.Fatalf("write %s in the guest: %v", path, v.Explain(err))
	}
}

// Run runs a command in the guest (see Commands) and gives what it printed on
// stdout; an exit status other than 0 fails the test.
func (v *VM) Run(t testing.TB, argv ...string) string {
	t.Helper()
	r, err := v.Client.Run(v.ctx, argv...)
	if err != nil {
		t.Fatalf("run %v in the guest: %v", argv, v.commandError(err))
	}
	if r.Status != 0 {
		t.Fatalf("run %v in the guest: exit status %d\n%s%s", argv, r.Status, r.Stdout, r.Stderr)
	}
	return string(r.Stdout)
}

// commandError is err; where it follows from the image, it says so.
func (v *VM) commandError(err error) error {
	if err = v.Explain(err); err != nil && !v.options.config.Commands {
		return fmt.Errorf("%w (this guest was booted without harness.Commands())", err)
	}
	return err
}

// Program builds a Go command, a folder as `go build` takes it ("./tasks"), puts
// it into the guest and gives its path there, for Run and Start.
func (v *VM) Program(t testing.TB, pkg string) (path string) {
	t.Helper()
	b, err := images.Program(v.ctx, v.yard.Store, pkg)
	if err != nil {
		t.Fatal(err)
	}
	path = "/run/" + filepath.Base(pkg)
	if err := v.Client.Put(v.ctx, path, 0o755, bytes.NewReader(b), int64(len(b))); err != nil {
		t.Fatalf("put %s into the guest: %v", pkg, v.Explain(err))
	}
	return path
}

// Task is a command running in the guest.
type Task struct {
	done chan error
	out  string
}

// Start starts a command in the guest (see Commands) and does not wait for it.
func (v *VM) Start(t testing.TB, argv ...string) *Task {
	t.Helper()
	task := &Task{done: make(chan error, 1)}
	go func() {
		r, err := v.Client.Run(v.ctx, argv...)
		if err != nil {
			err = v.commandError(err)
		} else if r.Status != 0 {
			err = fmt.Errorf("exit status %d: %s", r.Status, r.Stderr)
		}
		task.out = string(r.Stdout)
		task.done <- err
	}()
	return task
}

// Wait waits for the command to end and gives what it printed.
func (k *Task) Wait(t testing.TB) string {
	t.Helper()
	if err := <-k.done; err != nil {
		t.Fatalf("the command in the guest: %v", err)
	}
	return k.out
}

// Eventually asks the guest again and again until ok says yes to the content
// of the file at path.
func (v *VM) Eventually(t testing.TB, path string, ok func(string) bool) {
	t.Helper()
	for {
		text := v.ReadFile(t, path)
		if ok(strings.TrimSpace(text)) {
			return
		}
		if v.ctx.Err() != nil {
			t.Fatalf("%s in the guest still says %q: %v", path, text, context.Cause(v.ctx))
		}
	}
}
