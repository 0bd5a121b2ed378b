// SPDX-License-Identifier: Apache-2.0

// Package matrix cuts the work of a case suite, every case on every kernel,
// into pieces for machines that share it.
//
// What must not live here: which kernels there are, which cases, and how a
// piece is run; it is arithmetic, the same for every CI system.
package matrix

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-project/switchyard/harness/report"
)

// Kernel is a kernel to test on.
type Kernel struct {
	Release string // uname -r
	// Checksum is of what its kit is made from: what a cache is keyed by.
	Checksum string
}

// Entry is one piece: some cases on one kernel. Its JSON is an element of a
// GitHub Actions matrix, whose values become parts of names and commands.
type Entry struct {
	Kernel string `json:"kernel"` // for -kernel: an exact release
	Kit    string `json:"kit"`    // the start of the kit's checksum, for a cache's key
	// Shard counts the pieces of this kernel from 1 to Shards.
	Shard  int      `json:"shard"`
	Shards int      `json:"shards"`
	Name   string   `json:"name"`  // for a job or a file: the release and the shard
	Run    string   `json:"run"`   // for go test's -run: exactly the cases
	Cases  []string `json:"cases"` // names of test functions, sorted
	// Seconds is how long it is expected to take, by the durations given; 0 if
	// there were none.
	Seconds float64 `json:"seconds"`
}

// Matrix is what GitHub Actions reads with fromJSON.
type Matrix struct {
	Include []Entry `json:"include"`
}

// Cut cuts all cases on all kernels, each kernel's into at most shards pieces
// that take about equally long. The same input gives the same pieces, in any
// order of its parts; cases and kernels are without doubles.
func Cut(kernels []Kernel, cases []string, shards int, took Durations) Matrix {
	m := Matrix{Include: []Entry{}}
	for _, k := range kernels {
		pieces := balance(cases, shards, func(test string) time.Duration { return took.Of(test, k.Release) })
		for i, p := range pieces {
			e := Entry{
				Kernel: k.Release, Kit: k.Checksum[:min(16, len(k.Checksum))], Shard: i + 1, Shards: len(pieces),
				Name: k.Release, Cases: p.cases, Run: pattern(p.cases), Seconds: p.takes.Round(time.Second / 10).Seconds(),
			}
			if len(pieces) > 1 {
				e.Name = fmt.Sprintf("%s-%d-of-%d", k.Release, e.Shard, e.Shards)
			}
			if took.Empty() {
				e.Seconds = 0
			}
			m.Include = append(m.Include, e)
		}
	}
	return m
}

type piece struct {
	cases []string
	takes time.Duration
}

// balance gives the longest case first to the piece that has the least to do:
// Graham's LPT rule, no piece above 4/3 of the best cut's longest.
func balance(cases []string, shards int, takes func(string) time.Duration) []piece {
	order := slices.Clone(cases)
	slices.SortFunc(order, func(a, b string) int { return cmp.Or(-cmp.Compare(takes(a), takes(b)), cmp.Compare(a, b)) })
	pieces := make([]piece, min(shards, len(cases)))
	for _, c := range order {
		least := 0
		for i, p := range pieces {
			// Of equal ones the one with fewer cases: none stays empty.
			if cmp.Or(cmp.Compare(p.takes, pieces[least].takes), cmp.Compare(len(p.cases), len(pieces[least].cases))) < 0 {
				least = i
			}
		}
		pieces[least].cases = append(pieces[least].cases, c)
		pieces[least].takes += takes(c)
	}
	for _, p := range pieces {
		slices.Sort(p.cases)
	}
	return pieces
}

// pattern matches the cases and nothing else.
func pattern(cases []string) string {
	var quoted []string
	for _, c := range cases {
		quoted = append(quoted, regexp.QuoteMeta(c))
	}
	return "^(" + strings.Join(quoted, "|") + ")$"
}

// Plan is every case of the matrix on its kernel.
func (m Matrix) Plan() (plan []report.Planned) {
	for _, e := range m.Include {
		for _, c := range e.Cases {
			plan = append(plan, report.Planned{Kernel: e.Kernel, Test: c})
		}
	}
	return plan
}
