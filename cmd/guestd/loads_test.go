// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"os/exec"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/channel"
	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/observe/sampler"
)

// unending starts what never ends, as a task that is stuck in the kernel does.
type unending struct{ ended chan struct{} }

func (u unending) Start(c *exec.Cmd) error { return c.Start() }
func (u unending) Wait(c *exec.Cmd) error  { <-u.ended; return c.Wait() }

// TestStuckLoad: a load that cannot be ended keeps neither the host's call nor a
// plan from going on, and shows.
func TestStuckLoad(t *testing.T) {
	for name, stop := range map[string]func(a *agent) error{
		"host": func(a *agent) error {
			last, err := a.stopLoad(context.Background(), channel.LoadID{ID: 1})
			require.EqualValues(t, 1, last.Errors)
			return err
		},
		"plan": func(a *agent) error {
			c := &conduct{agent: a, watch: &watch{ring: sampler.NewRing(8)}, loads: []int{1}}
			err := c.stopLoads()
			require.EqualValues(t, 1, c.watch.ring.Last(), "told of")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				u := unending{make(chan struct{})}
				p, err := load.Start(load.Spec{Name: "pipe", N: 1}, "/bin/true", u)
				require.NoError(t, err)
				defer func() { close(u.ended); synctest.Wait() }()
				a := newAgent()
				a.loads, a.nextID = map[int]*load.Process{1: p}, 1
				began := time.Now()
				require.NoError(t, stop(a))
				require.LessOrEqual(t, time.Since(began), stopPatience)
			})
		})
	}
}
