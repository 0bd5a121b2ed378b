// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/harness/channel"
	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/observe/calls"
	"github.com/switchyard-project/switchyard/harness/observe/sampler"
)

// none is the answer of calls that only succeed.
type none = channel.None

// handlers are all calls of the channel; each is one line or one function.
func (a *agent) handlers() map[string]channel.Handler {
	all := map[string]channel.Handler{
		"clock": channel.Answer(func(context.Context, none) (channel.ClockReading, error) {
			return channel.ClockReading{MonotonicNS: monotonic()}, nil
		}),
		"module.load": channel.Answer(func(_ context.Context, in channel.LoadModule) (none, error) {
			return none{}, a.insertModule(moduleName(in.Path), in.Path, nil, in.Params)
		}),
		"module.unload": channel.Answer(func(_ context.Context, in channel.UnloadModule) (none, error) {
			return none{}, a.removeModule(in.Name)
		}),
		"module.list": channel.Answer(func(context.Context, none) ([]channel.Module, error) { return listModules() }),
		"livepatch.list": channel.Answer(func(context.Context, none) ([]channel.Livepatch, error) {
			return listLivepatches(channel.LivepatchFolder)
		}),
		"livepatch.set": channel.Answer(func(_ context.Context, in channel.SetLivepatch) (none, error) {
			return none{}, a.priority.ordinarily(func() error { return setLivepatch(channel.LivepatchFolder, in) })
		}),
		"blockers": channel.Answer(func(ctx context.Context, in channel.BlockersRequest) ([]observe.Blocker, error) {
			return sampler.Examination{Functions: in.Functions, Core: true}.Blockers(ctx), nil
		}),
		"calls.prepare": channel.Answer(func(context.Context, none) (none, error) {
			_ = a.calls.Prepare() // what is wrong, Begin tells
			return none{}, nil
		}),
		"calls.begin": channel.Answer(func(_ context.Context, in channel.CallsRequest) (none, error) {
			return none{}, a.calls.Begin(calls.Request{Patches: in.Patches, BufferKB: in.BufferKB}, a.note)
		}),
		"calls.flush": channel.Answer(func(context.Context, none) (none, error) { a.calls.Flush(); return none{}, nil }),
		"calls.end":   channel.Answer(func(context.Context, none) (none, error) { a.calls.End(); return none{}, nil }),
		"watch":       channel.Events(a.watchFor),
		"run":         channel.Answer(a.runCommand),
		"file.write": channel.Answer(func(_ context.Context, in channel.WriteFileRequest) (none, error) {
			return none{}, a.priority.ordinarily(func() error { return writeFile(in) })
		}),
		"file.list":   channel.Answer(listFolder),
		"file.mkdir":  channel.Answer(makeFolder),
		"file.remove": channel.Answer(removeFile),
		"put":         {Upload: true, Do: putFile},
		"get":         channel.Download(getFile),
		"signal":      channel.Answer(signalTask),
		"load.start":  channel.Answer(a.startLoad),
		"load.stop":   channel.Answer(a.stopLoad),
		"load.stats": channel.Answer(func(context.Context, none) (channel.LoadReading, error) {
			return channel.LoadReading{T: monotonic(), Loads: a.readLoads()}, nil
		}),
		"power.off": channel.Answer(func(context.Context, none) (none, error) {
			return none{}, a.powerOff()
		}),
	}
	maps.Copy(all, a.latenessCalls())
	for name, h := range all {
		all[name] = survivor(h)
	}
	return all
}

// survivor makes a panic in a call that call's error, and names it on the
// console.
func survivor(h channel.Handler) channel.Handler {
	do := h.Do
	h.Do = func(ctx context.Context, c *channel.Call) (out any, err error) {
		defer func() {
			if p := recover(); p != nil {
				fmt.Fprintf(os.Stderr, "%s panic in a call: %v\n", channel.AgentMarker, p)
				err = fmt.Errorf("the agent panicked: %v", p)
			}
		}()
		return do(ctx, c)
	}
	return h
}

// maxLoads bounds how many loads run at once.
const maxLoads = 64

func (a *agent) startLoad(_ context.Context, spec load.Spec) (channel.LoadID, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.loads) >= maxLoads {
		return channel.LoadID{}, fmt.Errorf("%d loads run already", maxLoads)
	}
	if err := a.loopback(); err != nil {
		return channel.LoadID{}, err
	}
	p, err := load.Start(spec, "/proc/self/exe", a.children)
	if err != nil {
		return channel.LoadID{}, err
	}
	a.nextID++
	a.loads[a.nextID] = p
	return channel.LoadID{ID: a.nextID}, nil
}

// stopPatience is how long a load may take to end, by the guest's clock. What the
// patch does may keep a task of it in the kernel for good, and neither the host
// nor a plan has another bound.
const stopPatience = 30 * time.Second

func (a *agent) stopLoad(ctx context.Context, in channel.LoadID) (observe.Load, error) {
	a.mu.Lock()
	p := a.loads[in.ID]
	delete(a.loads, in.ID)
	a.mu.Unlock()
	if p == nil {
		return observe.Load{}, fmt.Errorf("no load has the id %d", in.ID)
	}
	ctx, cancel := context.WithTimeout(ctx, stopPatience)
	defer cancel()
	last := p.Stop(ctx)
	last.ID = in.ID
	return last, nil
}

// readLoads gives the counters of all loads in the order they were started.
func (a *agent) readLoads() []observe.Load { return a.eachLoad((*load.Process).Read) }

// eachLoad asks all loads in the order they were started.
func (a *agent) eachLoad(ask func(*load.Process) observe.Load) []observe.Load {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := []observe.Load{}
	for id := 1; id <= a.nextID; id++ {
		if p := a.loads[id]; p != nil {
			r := ask(p)
			r.ID = id
			out = append(out, r)
		}
	}
	return out
}

// powerOff lets what was printed get out and ends the machine.
func (a *agent) powerOff() error {
	unix.Sync()
	if f, err := os.OpenFile("/dev/console", os.O_WRONLY, 0); err == nil {
		// tcdrain(3); else the last lines die in the UART.
		_ = unix.IoctlSetInt(int(f.Fd()), unix.TCSBRK, 1)
		f.Close()
	}
	if err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF); err != nil {
		return fmt.Errorf("power off: %w", err)
	}
	return nil
}

func writeFile(in channel.WriteFileRequest) error {
	flags := os.O_WRONLY | os.O_TRUNC
	if in.Append {
		flags = os.O_WRONLY | os.O_APPEND
	}
	// Not os.WriteFile: it would write the rest again after a short write,
	// which files of the kernel do not take for the same.
	fd, err := unix.Open(in.Path, flags|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		// Made only now: sysfs, asked to make a file, says EACCES, and that it
		// is not there is what the host wants to know.
		if made, created := unix.Open(in.Path, flags|unix.O_CREAT|unix.O_CLOEXEC, 0o644); created == nil {
			fd, err = made, nil
		}
	}
	if err != nil {
		return fmt.Errorf("open %s: %w", in.Path, err)
	}
	n, err := unix.Write(fd, in.Data)
	closed := unix.Close(fd)
	switch {
	case err != nil:
		return fmt.Errorf("write %s: %w", in.Path, err)
	case n < len(in.Data):
		return fmt.Errorf("write %s: %d of %d bytes: %w", in.Path, n, len(in.Data), io.ErrShortWrite)
	case closed != nil:
		return fmt.Errorf("close %s: %w", in.Path, closed)
	}
	return nil
}

func removeFile(_ context.Context, in channel.PathRequest) (none, error) {
	if err := os.Remove(in.Path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return none{}, err
	}
	return none{}, nil
}

func makeFolder(_ context.Context, in channel.PathRequest) (none, error) {
	return none{}, os.MkdirAll(in.Path, 0o755)
}

// maxEntries bounds a folder's list, to stay within a message.
const maxEntries = 8192

func listFolder(_ context.Context, in channel.PathRequest) ([]channel.DirEntry, error) {
	entries, err := os.ReadDir(in.Path)
	if err != nil {
		return nil, err
	}
	if len(entries) > maxEntries {
		return nil, fmt.Errorf("%s has %d entries, at most %d can be listed", in.Path, len(entries), maxEntries)
	}
	out := []channel.DirEntry{}
	for _, e := range entries {
		out = append(out, channel.DirEntry{Name: e.Name(), Dir: e.IsDir()})
	}
	return out, nil
}
