// SPDX-License-Identifier: Apache-2.0

package selftests

import (
	"fmt"
	"regexp"
	"strings"
)

// Result is how a script, or a test in one, ended.
type Result string

// The results.
const (
	OK   Result = "ok"
	Fail Result = "fail"
	Skip Result = "skip"
)

// skipStatus is the exit status by which a selftest says that it cannot be run
// here (tools/testing/selftests/kselftest.h, KSFT_SKIP).
const skipStatus = 4

// Outcome is what came of one script.
type Outcome struct {
	Result Result
	// Reason is what the script said of a result other than OK, in a line.
	Reason string
	// Tests are those in the script, in order.
	Tests []Test
}

// Test is one of a script's own tests.
type Test struct {
	Name   string
	Result Result
}

var (
	// testLine is how functions.sh begins and ends a test: what the kernel
	// and modprobe say goes to its log, and between the two stands nothing.
	testLine = regexp.MustCompile(`^TEST: (.*?) \.\.\. ?(ok|not ok|FAIL)?`)
	wordLine = regexp.MustCompile(`^(?:SKIP|ERROR|skip all tests): ?(.*)$`)
)

// Read reads what a script wrote, and its exit status.
func Read(output string, status int) Outcome {
	o := Outcome{Result: Fail}
	switch status {
	case 0:
		o.Result = OK
	case skipStatus:
		o.Result = Skip
	}
	last, open := "", false // whether the last test's end is still to come
	for line := range strings.Lines(output) {
		line = strings.TrimRight(line, "\n")
		if m := testLine.FindStringSubmatch(line); m != nil {
			t := Test{Name: m[1], Result: Fail}
			if m[2] == "ok" {
				t.Result = OK
			}
			open = m[2] == ""
			o.Tests = append(o.Tests, t)
			// Without an end of its own the test's line goes on with what ends
			// the script.
			_, line, _ = strings.Cut(line, " ... ")
		}
		if open && line == "ok" { // something else had been said in between
			o.Tests[len(o.Tests)-1].Result, open = OK, false
		}
		if m := wordLine.FindStringSubmatch(line); m != nil {
			o.Reason = m[1]
		}
		if strings.TrimSpace(line) != "" {
			last = line
		}
	}
	// The test that a script was at when it gave up as a whole.
	if n := len(o.Tests); n > 0 && o.Result == Skip && o.Tests[n-1].Result == Fail {
		o.Tests[n-1].Result = Skip
	}
	switch {
	case o.Result == OK:
		o.Reason = ""
	case o.Reason == "":
		o.Reason = fmt.Sprintf("exit status %d", status)
		if last != "" {
			o.Reason += ": " + last
		}
	}
	return o
}
