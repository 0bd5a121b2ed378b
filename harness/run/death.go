// SPDX-License-Identifier: Apache-2.0

package run

import (
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"time"

	"github.com/switchyard-project/switchyard/harness/channel"
	"github.com/switchyard-project/switchyard/harness/observe"
)

// recordDeath puts the machine's end on the timeline.
func (g *Guest) recordDeath() {
	defer g.done.Done()
	err := g.Machine.Wait()
	_ = g.rec.add(observe.Event{Clock: observe.Host, T: observe.Monotonic(), Kind: observe.KindDeath, Death: causeOfDeath(err)})
	close(g.died)
}

// causeOfDeath is err, the end of a machine, for a log.
func causeOfDeath(err error) *observe.Death {
	if err == nil {
		return &observe.Death{Cause: "asked for"}
	}
	// "*vm.GuestPanic" -> "GuestPanic"
	return &observe.Death{Cause: strings.TrimPrefix(fmt.Sprintf("%T", err), "*vm."), Text: err.Error()}
}

// brokenConnection is how the end of a machine first shows on its channel.
var brokenConnection = []error{channel.ErrClosed, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, syscall.ECONNRESET, syscall.EPIPE}

// Explain is orDeath for the guest's users.
func (g *Guest) Explain(err error) error { return g.orDeath(err) }

// fateWait bounds the wait for the reason of a lost connection: a dying guest
// can take a while to print its oops under TCG.
const fateWait = 10 * time.Second

// orDeath gives the machine's own end in the place of an error that only
// follows from it. A lost connection can be seen before the reason is known,
// so it waits for the verdict of the one place that decides it.
func (g *Guest) orDeath(err error) error {
	if err == nil || g.Machine == nil {
		return err
	}
	for _, broken := range brokenConnection {
		if errors.Is(err, broken) {
			if death := g.Machine.Fate(fateWait); death != nil {
				return death
			}
			break
		}
	}
	return err
}
