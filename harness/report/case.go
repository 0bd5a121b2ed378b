// SPDX-License-Identifier: Apache-2.0

package report

import (
	"regexp"
	"strings"
	"time"
)

// Result is how a case ended.
type Result string

// The results of a case. One that did not end has failed.
const (
	Passed  Result = "pass"
	Failed  Result = "fail"
	Skipped Result = "skip"
)

// Case is a Go test, or the part of one that is of one kernel.
type Case struct {
	Package string `json:"package"`
	// Name is the test's without the kernel's release.
	Name      string   `json:"name"`
	Kernel    string   `json:"kernel,omitempty"` // uname -r
	Result    Result   `json:"result"`
	ElapsedNS int64    `json:"elapsed_ns"`       // host wall time
	Output    []string `json:"output,omitempty"` // the end of it, if it failed
}

// Elapsed is the case's wall time.
func (c Case) Elapsed() time.Duration { return time.Duration(c.ElapsedNS) }

// Test is the name of the Go test function that the case is of.
func (c Case) Test() string {
	test, _, _ := strings.Cut(c.Name, "/")
	return test
}

// release is how the part of a test's name looks that harness.EachKernel adds:
// `uname -r`.
var release = regexp.MustCompile(`^[0-9]+\.[0-9]+[.+~_-][0-9A-Za-z.+~_-]*$|^[0-9]+\.[0-9]+$`)

// splitName takes the kernel's release out of a test's name. below says that
// the name goes on behind the release: that is a part of the kernel's case.
func splitName(full string) (name, kernel string, below bool) {
	parts := strings.Split(full, "/")
	for i, p := range parts {
		if i > 0 && release.MatchString(p) {
			return strings.Join(parts[:i], "/"), p, i < len(parts)-1
		}
	}
	return full, "", false
}
