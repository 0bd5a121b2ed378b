// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFutures: what would have freed a stall, in a line each; an empty list
// says that nothing stalled, none that nobody asked.
func TestFutures(t *testing.T) {
	cat := Blocker{Task: "cat", PID: 97, Kind: "user task", Reason: "asleep on patched", Function: "hold_park"}
	idle := Blocker{Task: "kworker/0:1", PID: 10, Kind: "kworker", Reason: "asleep elsewhere", Function: "worker_thread"}
	for name, c := range map[string]struct {
		futures []Future
		text    string
		json    string
	}{
		"not asked": {nil, "", ""},
		"no stall":  {[]Future{}, "\n6.1: no transition stalled, so no future was tried\n", `"futures": []`},
		"stalled": {[]Future{
			{Name: "wait", GuestNS: 3_000_000_000, Verdict: "stalled", Reason: "apply not done", Blockers: []Blocker{idle, cat}},
			{Name: "signal", Freed: true, GuestNS: 12_000_000, Verdict: "complete"},
			{Name: "force", Freed: true, GuestNS: 900_000_000, Verdict: "complete", Note: "consistency is gone"},
			{Name: "wake", GuestNS: 5_000_000, Verdict: "crashed", Reason: "the kernel reported: \x1bBUG"},
			{Name: "revert", Reason: "not tried: no space left on device"},
		}, `
6.1: what would have freed it, each in a fork of the stall:
  wait    not freed after 3.00 s: cat/97 (user task) asleep on patched hold_park and 1 more
  signal  freed after 12 ms
  force   freed after 900 ms (consistency is gone)
  wake    not freed after 5 ms, crashed: the kernel reported: �BUG
  revert  not tried: no space left on device
`, `"guest_ns": 12000000`},
	} {
		t.Run(name, func(t *testing.T) {
			run := Run{Kernel: Kernel{Release: "6.1"}, Futures: c.futures}
			var text, json bytes.Buffer
			run.writeFutures(&text)
			require.Equal(t, c.text, text.String())
			require.NoError(t, Report{Runs: []Run{run}}.WriteJSON(&json))
			if c.json == "" {
				require.NotContains(t, json.String(), "futures")
			} else {
				require.Contains(t, json.String(), c.json)
			}
		})
	}
}
