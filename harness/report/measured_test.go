// SPDX-License-Identifier: Apache-2.0

package report

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMeasuredInTheTable(t *testing.T) {
	r := Report{Runs: []Run{
		{Kernel: Kernel{Release: "6.1.0"}, Verdict: "complete", Expected: "complete", Measured: []Measured{
			{Object: "vmlinux", Name: "helper", Sympos: 2, Calls: 7, Time: &MeasuredTime{Started: 9, TotalNS: 7000, MeanNS: 1000, LongestNS: 3000}},
		}},
		{Kernel: Kernel{Release: "6.12.0"}, Verdict: "complete", Expected: "complete", Measured: []Measured{{Object: "fat", Name: "f", Calls: 0}}},
		{Kernel: Kernel{Release: "7.3.0"}, Verdict: "complete", Expected: "complete"},
	}}
	var out bytes.Buffer
	r.WriteTable(&out)
	require.Regexp(t, `6\.1\.0:\n.*CALLS +UNDER WAY +MEAN +LONGEST +TOTAL *\n *vmlinux:helper/2 +7 +2 +1µs +3µs +7µs`, out.String())
	require.Regexp(t, `6\.12\.0:\n.*CALLS *\n *fat:f +0 *\n`, out.String())
	require.NotContains(t, out.String(), "7.3.0:")
}
