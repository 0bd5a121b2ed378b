// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/mailbox"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/observe/sampler"
)

// TestPatience: a kernel that does not come back has the machine ended, once
// everything is in the host's file; one that does is left alone.
func TestPatience(t *testing.T) {
	f, err := os.Create(t.TempDir() + "/results")
	require.NoError(t, err)
	defer f.Close()
	synctest.Test(t, func(t *testing.T) {
		w := &watch{ring: sampler.NewRing(64)}
		ended := make(chan string, 1)
		c := &conduct{watch: w, out: &results{fd: int(f.Fd())}, end: func() error {
			text, err := os.ReadFile(f.Name())
			ended <- string(text)
			return err
		}}
		why := errors.New("why")
		require.ErrorIs(t, c.action("load", "p", func() error { time.Sleep(observe.KernelPatience - 1); return why }), why)
		time.Sleep(2 * observe.KernelPatience)
		require.Empty(t, ended)

		followed := make(chan error, 1)
		go func() { followed <- c.out.follow(w) }()
		began := time.Now()
		var text string
		_ = c.action("load", "q", func() error { text = <-ended; return nil })
		require.LessOrEqual(t, time.Since(began), observe.KernelPatience+time.Second)
		require.Contains(t, lastLine(text), `"detail":"q","edge":"end","error":"the kernel did not come back for 10m0s"`)
		w.ring.Emit(resultEvent(mailbox.Result{Over: &mailbox.Over{}}))
		require.Error(t, <-followed, "a file cannot be drained")
	})
}

func lastLine(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return lines[len(lines)-1]
}
