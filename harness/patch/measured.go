// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/switchyard-project/switchyard/harness/patch/btf"
)

// Measured is what an instrument's module says of one function.
type Measured struct {
	Function
	// Calls began, of a count; of a time, they ended.
	Calls uint64
	// Timed says that the rest is known. Started calls began; those that did
	// not end are under way, or never come back. Total and Longest are guest
	// time from entry to exit, sleeping included.
	Timed          bool
	Started        uint64
	Total, Longest time.Duration
}

// Mean is the mean time of a call that ended.
func (m Measured) Mean() time.Duration {
	if m.Calls == 0 {
		return 0
	}
	return m.Total / time.Duration(m.Calls)
}

// ReadMeasured reads what a loaded instrument's module has measured so far, by
// a function that reads a file of the guest.
func (m *Module) ReadMeasured(read func(path string) ([]byte, error)) ([]Measured, error) {
	numbers := func(name string) ([]uint64, error) {
		path := fmt.Sprintf("/sys/module/%s/parameters/%s", m.Name, name)
		text, err := read(path)
		if err != nil {
			return nil, fmt.Errorf("what %s measured: %w", m.Name, err)
		}
		return parseNumbers(path, string(text))
	}
	columns := map[string][]uint64{}
	names := []string{btf.CallsParameter}
	timed := m.Manifest.Instrument == btf.Time
	if timed {
		names = append(names, btf.StartedParameter, btf.TotalParameter, btf.LongestParameter)
	}
	for _, name := range names {
		all, err := numbers(name)
		if err != nil {
			return nil, err
		}
		if len(all) != len(m.Manifest.Functions) {
			return nil, fmt.Errorf("what %s measured: %d %s for %d functions", m.Name, len(all), name, len(m.Manifest.Functions))
		}
		columns[name] = all
	}
	khz := []uint64{0}
	if timed {
		var err error
		if khz, err = numbers(btf.KHzParameter); err != nil {
			return nil, err
		}
		if len(khz) != 1 || khz[0] == 0 {
			return nil, fmt.Errorf("what %s measured: the kernel does not know how fast its time stamp counter is", m.Name)
		}
	}
	var all []Measured
	for i, f := range m.Manifest.Functions {
		one := Measured{Function: f, Timed: timed, Calls: columns[btf.CallsParameter][i]}
		if timed {
			one.Started = columns[btf.StartedParameter][i]
			one.Total, one.Longest = ticks(columns[btf.TotalParameter][i], khz[0]), ticks(columns[btf.LongestParameter][i], khz[0])
		}
		all = append(all, one)
	}
	return all, nil
}

// ticks is the time that n ticks of a counter take that does khz of them in a
// millisecond.
func ticks(n, khz uint64) time.Duration {
	return time.Duration(n/khz)*time.Millisecond + time.Duration(n%khz*uint64(time.Millisecond)/khz)
}

func parseNumbers(path, text string) (all []uint64, err error) {
	for _, word := range strings.Split(strings.TrimSpace(text), ",") {
		n, err := strconv.ParseUint(word, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%s says %q, which are no numbers", path, strings.TrimSpace(text))
		}
		all = append(all, n)
	}
	return all, nil
}
