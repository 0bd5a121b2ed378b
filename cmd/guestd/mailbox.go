// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/switchyard-project/switchyard/harness/channel"
	"github.com/switchyard-project/switchyard/harness/mailbox"
	"github.com/switchyard-project/switchyard/harness/observe"
)

// wantsMailbox says whether the agent serves a mailbox in place of a channel.
func wantsMailbox() bool {
	b, _ := os.ReadFile("/proc/cmdline")
	return slices.Contains(strings.Fields(string(b)), mailbox.Argument)
}

// mailboxEvery is how often the mailbox is looked into, in the guest's time.
const mailboxEvery = 10 * time.Millisecond

// mailboxRing is how many events may wait for the serial port: nobody could
// ask for lost ones again.
const mailboxRing = 32 << 10

// serveMailbox carries out the plan that it finds, and powers off. Whatever
// it does, it does at a time that follows from the guest's own clock.
func (a *agent) serveMailbox() error {
	out, err := openResults()
	if err != nil {
		return err
	}
	busy, err := a.startBusy()
	if err != nil {
		return err
	}
	if err := a.warm(); err != nil {
		return err
	}
	_ = a.calls.Prepare() // what is wrong, Begin tells
	ready := mailbox.Ready{Release: a.facts().Release, Problems: a.problems}
	if err := out.say(1, mailbox.Result{Ready: &ready}); err != nil {
		return err
	}
	if err := out.drain(); err != nil {
		return err
	}
	var plan mailbox.Plan
	err = withPorts(func() (err error) {
		// The host saves the machine then. When it gets to it, and on what
		// host, makes no difference.
		if err := standStill(busy); err != nil {
			return err
		}
		plan, err = awaitPlan()
		return err
	})
	if err != nil {
		return err
	}
	if err := a.carryOut(plan, out); err != nil {
		return err
	}
	return a.powerOff()
}

// warm does what every plan does for the first time, before the machine is
// saved: the tracing instance alone takes 300 ms under TCG.
func (a *agent) warm() error {
	if err := a.loopback(); err != nil {
		return err
	}
	w, err := a.watchOf(channel.WatchOptions{})
	if err != nil {
		return err
	}
	defer a.endWatch(w)
	_, err = w.first()
	return err
}

// awaitPlan looks again and again until there is a plan.
func awaitPlan() (mailbox.Plan, error) {
	for {
		// Each time: a fork has other files (no kernel), and so other selectors.
		selector, err := findConfig(mailbox.BlobName)
		if err != nil {
			return mailbox.Plan{}, err
		}
		header := make([]byte, mailbox.HeaderSize)
		choose(selector)
		readConfig(header)
		if n := mailbox.Length(header); n > 0 {
			body := make([]byte, n)
			readConfig(body)
			return mailbox.Decode(header, body)
		}
		pause(mailboxEvery)
	}
}

// pause lets the guest's time go by.
func pause(d time.Duration) {
	at := unix.NsecToTimespec(monotonic() + int64(d))
	for unix.ClockNanosleep(unix.CLOCK_MONOTONIC, unix.TIMER_ABSTIME, &at, nil) == unix.EINTR {
	}
}

// results is the serial port that leads into the host's file.
type results struct {
	fd   int
	told atomic.Uint64 // the number of the last event written
}

func openResults() (*results, error) {
	fd, err := unix.Open(mailbox.Port, unix.O_WRONLY|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", mailbox.Port, err)
	}
	t, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err == nil {
		t.Oflag &^= unix.OPOST // bytes as they are
		t.Lflag, t.Iflag = 0, 0
		t.Cflag |= unix.CLOCAL
		err = unix.IoctlSetTermios(fd, unix.TCSETS, t)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("set up %s: %w", mailbox.Port, err)
	}
	return &results{fd: fd}, nil
}

func (r *results) write(e observe.Event) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	for line = append(line, '\n'); len(line) > 0; {
		n, err := unix.Write(r.fd, line)
		if err != nil && err != unix.EINTR {
			return fmt.Errorf("write to %s: %w", mailbox.Port, err)
		}
		line = line[max(n, 0):]
	}
	return nil
}

// say writes a result past the ring, as the event of that number.
func (r *results) say(number uint64, result mailbox.Result) error {
	e := resultEvent(result)
	e.Clock, e.Seq = observe.Guest, number
	return r.write(e)
}

// drain waits until all has left the port.
func (r *results) drain() error { return unix.IoctlSetInt(r.fd, unix.TCSBRK, 1) }

func resultEvent(result mailbox.Result) observe.Event {
	raw, _ := json.Marshal(result) // nothing in it can fail
	return observe.Event{T: monotonic(), Kind: mailbox.KindResult, Raw: raw}
}

// follow writes w's events until and with the one that ends the results.
func (r *results) follow(w *watch) error {
	batch := make([]observe.Event, 0, 64)
	for seq := uint64(0); ; {
		events, lost, err := w.ring.Next(context.Background(), seq, batch[:0])
		if err != nil {
			return err
		}
		if lost > 0 {
			return fmt.Errorf("%d events came faster than the serial port takes them", lost)
		}
		for _, e := range events {
			if err := r.write(e); err != nil {
				return err
			}
			seq = e.Seq
			r.told.Store(seq)
			if e.Kind == mailbox.KindResult && isOver(e) {
				return r.drain()
			}
		}
	}
}

func isOver(e observe.Event) bool {
	var result mailbox.Result
	return json.Unmarshal(e.Raw, &result) == nil && result.Over != nil
}
