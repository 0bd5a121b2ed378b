// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	_ "embed"
	"errors"
	"sync"
	"time"

	"github.com/switchyard-project/switchyard/harness/mailbox"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/observe/lateness"
	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/vm"
	"github.com/switchyard-project/switchyard/kernels"
)

// How many deadlines, over all CPUs, a window has at least in which nothing is
// done but the load: a thousand, so that one in a thousand has a meaning. By
// virtual time, which costs several times its length, and where nothing is left
// to chance, a tenth of that.
const (
	steadyDeadlines  = 1000
	virtualDeadlines = 100
)

//go:embed pulse/switchyard_pulse.c
var pulseSource []byte

// TimerModule builds the second witness of lateness for a kernel.
func (y *Yard) TimerModule(ctx context.Context, kit *kernels.Kit) (*patch.Module, error) {
	return y.builtIn(ctx, kit, "switchyard_pulse", pulseSource)
}

// settleTime is how long a window without anything but the load lasts.
func settleTime(deadlines, cpus int) time.Duration {
	return time.Duration(deadlines/max(cpus, 1)) * lateness.Period
}

// measuring is a guest whose lateness is being measured.
type measuring struct {
	stop  func()        // ends what the host watches
	timer *patch.Module // nil: none
}

// StartLateness has the guest measure from now on how late those run who want
// to run at once, with the second witness if timer is not nil: a task and a
// timer's interrupt on each CPU, in window lateness.Baseline. What comes of it
// is on the timeline at the end of each window. A witness that the kernel does
// not take, and a host that does not tell what it takes from the guest, are
// told by without, in words; the measurement goes on without them. So is a guest
// that has no time for a probe, in which nothing is measured.
func (g *Guest) StartLateness(ctx context.Context, timer *patch.Module) (without []string, err error) {
	if timer != nil {
		g.insertedMu.Lock()
		g.timer = timer
		g.insertedMu.Unlock()
		err := g.Insert(ctx, timer, "")
		var refused *Refused
		switch {
		case errors.As(err, &refused):
			without = append(without, timerMissing(refused))
			timer = nil
		case err != nil:
			return nil, err
		}
	}
	vcpus, err := g.Machine.VCPUs(ctx)
	if err != nil {
		return nil, g.orDeath(err)
	}
	stop := func() {}
	watching, cancel := context.WithCancel(context.Background())
	taken, err := g.watchTaken(watching, vcpus)
	if err == nil {
		stop = sync.OnceFunc(func() { cancel(); <-taken })
	} else {
		cancel()
		without = append(without, "what the host took from the guest is not known, so what is called an interruption may be the host's doing: "+err.Error())
	}
	if err := g.orDeath(g.Client.StartLateness(ctx, timer != nil)); err != nil {
		stop()
		var died vm.Death
		if errors.As(err, &died) || ctx.Err() != nil {
			return nil, err
		}
		without = append(without, "how long anybody is interrupted was not measured: "+err.Error())
		if timer == nil {
			return without, nil
		}
		return without, g.Unload(ctx, timer.Name)
	}
	g.measuring = &measuring{stop: stop, timer: timer}
	return without, nil
}

// timerMissing says that there is no second witness.
func timerMissing(why error) string {
	return "how late a timer's interrupt comes was not measured, so the probe has no second witness: " + why.Error()
}

// LatenessWindow has the deadlines from now on count to another window; nothing
// if lateness is not measured.
func (g *Guest) LatenessWindow(ctx context.Context, name string) error {
	if g.measuring == nil {
		return nil
	}
	// The two clocks are tied together at each end of a window.
	if err := g.sampleOffset(ctx); err != nil {
		return err
	}
	return g.orDeath(g.Client.LatenessWindow(ctx, name))
}

// Settle lets guest time go by in which nothing but the loads runs, until a
// window has deadlines enough; nothing if lateness is not measured.
func (g *Guest) Settle(ctx context.Context) error {
	if g.measuring == nil {
		return nil
	}
	return g.orDeath(g.Client.Pause(ctx, settleTime(steadyDeadlines, g.CPUs)))
}

// StopLateness ends the measurement; nothing if there is none.
func (g *Guest) StopLateness(ctx context.Context) error {
	m := g.measuring
	if m == nil {
		return nil
	}
	g.measuring = nil
	err := g.sampleOffset(ctx)
	if err == nil {
		err = g.orDeath(g.Client.StopLateness(ctx))
	}
	m.stop()
	if err != nil || m.timer == nil {
		return err
	}
	return g.Unload(ctx, m.timer.Name)
}

// prepareLateness builds what the measurement needs. A kernel for which the
// second witness cannot be built is measured without.
func (x *execution) prepareLateness(ctx context.Context) error {
	if !x.Interruption {
		return nil
	}
	var err error
	if x.Timer != nil {
		x.timer, err = x.build(ctx, x.Timer)
	} else {
		x.timer, err = x.yard.TimerModule(ctx, x.kit)
	}
	if err != nil && ctx.Err() == nil {
		x.find(observe.FoundWarning, "%s", timerMissing(err))
		return nil
	}
	return err
}

// startLateness begins the measurement, and has the load alone measured.
func (x *execution) startLateness(ctx context.Context) error {
	if !x.Interruption {
		return nil
	}
	without, err := x.guest.StartLateness(ctx, x.timer)
	for _, text := range without {
		x.find(observe.FoundWarning, "%s", text)
	}
	if err != nil {
		return err
	}
	return x.guest.Settle(ctx)
}

// planLateness is the measurement in the terms of a mailbox; nil for none.
func (x *execution) planLateness() *mailbox.Lateness {
	if !x.Interruption {
		return nil
	}
	return &mailbox.Lateness{Timer: x.timer != nil, SettleNS: int64(settleTime(virtualDeadlines, 1))}
}
