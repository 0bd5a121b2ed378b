// SPDX-License-Identifier: Apache-2.0

package report

import (
	"fmt"
	"io"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
)

// writeMeasured writes a row for each function that was measured.
func (run Run) writeMeasured(w io.Writer) {
	if len(run.Measured) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s:\n", run.Kernel.Release)
	t := NewTable(w)
	header := table.Row{"function", "calls"}
	if run.Measured[0].Time != nil {
		header = append(header, "under way", "mean", "longest", "total")
	}
	t.AppendHeader(header)
	for _, m := range run.Measured {
		name := m.Object + ":" + m.Name
		if m.Sympos > 0 {
			name += fmt.Sprintf("/%d", m.Sympos)
		}
		row := table.Row{oneLine(name), m.Calls}
		if m.Time != nil {
			row = append(row, m.Time.Started-m.Calls, time.Duration(m.Time.MeanNS), time.Duration(m.Time.LongestNS), time.Duration(m.Time.TotalNS))
		}
		t.AppendRow(row)
	}
	t.Render()
}
