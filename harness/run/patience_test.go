// SPDX-License-Identifier: Apache-2.0

package run

import (
	"errors"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// TestWithin: what takes too long by the guest's clock is told of once, while it
// still lasts, and what does not is left alone, whatever the host's clock says.
func TestWithin(t *testing.T) {
	log, err := observe.Create(filepath.Join(t.TempDir(), observe.TimelineFile), 0)
	require.NoError(t, err)
	defer log.Close()
	rec := newRecorder(log)
	seq := uint64(0)
	tell := func(clock string, at time.Duration) {
		seq++
		require.NoError(t, rec.add(observe.Event{Clock: clock, Seq: seq, T: int64(at), Kind: observe.KindCost}))
	}
	tell(observe.Guest, time.Second) // before
	why := errors.New("why")
	late := make(chan struct{}, 10)
	ends := func() { late <- struct{}{} }
	require.ErrorIs(t, rec.within(t.Context(), time.Minute, func() error {
		tell(observe.Guest, time.Hour)
		tell(observe.Guest, time.Hour+time.Minute)
		tell(observe.Host, 5*time.Hour)
		return why
	}, ends), why)
	require.Empty(t, late)
	require.NoError(t, rec.within(t.Context(), time.Minute, func() error {
		for at := 2 * time.Hour; at < 3*time.Hour; at += 40 * time.Second {
			tell(observe.Guest, at)
		}
		<-late // or it would wait for ever
		return nil
	}, ends))
	require.Empty(t, late)
}
