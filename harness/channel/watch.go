// SPDX-License-Identifier: Apache-2.0

package channel

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// WatchOptions say what to watch and how often. The zero value is good.
type WatchOptions struct {
	// PeriodNS is the time between two looks; 0 for 5 ms. At most 10 ms.
	PeriodNS int64 `json:"period_ns,omitempty"`
	// Functions are the patched functions, to tell from a stack which one a
	// task sleeps on.
	Functions []string `json:"functions,omitempty"`
	// BlockersAfterNS is the age at which a transition's remaining tasks are
	// examined, and from then on every BlockersEveryNS; 0 for 3 s and 5 s.
	// Negative: never.
	BlockersAfterNS int64 `json:"blockers_after_ns,omitempty"`
	BlockersEveryNS int64 `json:"blockers_every_ns,omitempty"`
	// LoadsEveryNS is the time between two readings of the loads' counters;
	// 0 for 100 ms. Negative: never.
	LoadsEveryNS int64 `json:"loads_every_ns,omitempty"`
	// NoRounds leaves the kernel's function tracer alone.
	NoRounds bool `json:"no_rounds,omitempty"`
	// Since asks for the events after this number of the watch that is
	// already running (Event.Seq), as far as the guest still has them; the
	// options before it are then not looked at. 0 starts a watch of one's own
	// in the place of one that runs.
	Since uint64 `json:"since,omitempty"`
	// Keep leaves the watch running when the call ends, for a later one with
	// Since.
	Keep bool `json:"keep,omitempty"`
}

// Watch streams what the guest sees: transitions, samples, tasks, rounds, loads,
// kernel log. The first event is of kind observe.KindWatch; it says that from
// now on nothing is missed, so wait for it before you load a patch. It
// returns when ctx ends (with its error) or each gives an error.
//
// The guest buffers a few thousand events while the host does not read; what
// is lost beyond is counted in an event of kind observe.KindLost.
func (c *Client) Watch(ctx context.Context, o WatchOptions, each func(observe.Event) error) error {
	return c.Stream(ctx, "watch", o, func(raw json.RawMessage) error {
		var e observe.Event
		if err := json.Unmarshal(raw, &e); err != nil {
			return fmt.Errorf("watch: the guest's event: %w", err)
		}
		e.Clock = observe.Guest // whatever the guest says: it has no other
		return each(e)
	})
}

// BlockersRequest is the request of "blockers".
type BlockersRequest struct {
	Functions []string `json:"functions,omitempty"`
}

// Blockers examines the tasks that have not switched, now. functions are the
// patched ones. The idle tasks have no folder in /proc and are not seen.
func (c *Client) Blockers(ctx context.Context, functions []string) ([]observe.Blocker, error) {
	var out []observe.Blocker
	err := c.Call(ctx, "blockers", BlockersRequest{Functions: functions}, &out)
	return out, err
}
