// SPDX-License-Identifier: Apache-2.0

// Package load holds the stress workloads that run in a guest while a live
// patch comes and goes: one file each, with its name, what it does, its body
// and its own check of its results.
//
// What lives here: the table of loads, their counters, and the process that
// runs one. What must not: when loads start and stop (harness/run) and what
// their numbers mean (harness/check).
package load

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// Load is one workload.
type Load struct {
	Name string // as in -load
	What string // a sentence for people
	// N is how many workers it has unless told; what a worker is, What says.
	N int
	// Touches names what it exercises, for the choice of a default.
	Touches []Touch
	// Body runs until ctx ends (nil) or it cannot go on. A result that is
	// wrong goes to c.Wrong and the load goes on; an error of Body is a load
	// that could not do its work, and counts as wrong as well.
	//
	// Bodies are polite: each worker sleeps, blocks or yields at least once
	// an operation, for there may be one slow CPU; and each looks at ctx at
	// least every 100 ms or so.
	Body func(ctx context.Context, c *Counter, s Spec) error
}

// Touch is a pattern (path.Match) of "object:function" that a load exercises.
type Touch struct {
	Pattern string
	Path    string // the file to read, for loads that read one
	// Variants is Spec.Variants for it.
	Variants int
}

// loads is the table; a new load is a file and a row here.
var loads = []Load{procReaders, forkStorm, pipePing, timerFutex, loopback}

// All gives the loads in the order of the table.
func All() []Load { return slices.Clone(loads) }

// Find gives the load called name.
func Find(name string) (Load, error) {
	for _, l := range loads {
		if l.Name == name {
			return l, nil
		}
	}
	return Load{}, fmt.Errorf("no load is called %q; there are %s", name, strings.Join(Names(), ", "))
}

// Names are the names of all loads.
func Names() []string {
	var names []string
	for _, l := range loads {
		names = append(names, l.Name)
	}
	return names
}

// Spec is a load with its parameters.
type Spec struct {
	Name string `json:"name"`
	N    int    `json:"n,omitempty"` // workers; 0: the load's own number
	// Path is the file that proc-readers reads; "" for /proc/cmdline.
	Path string `json:"path,omitempty"`
	// Accept are regular expressions, one of which must match the whole
	// content that proc-readers reads; without any, Variants decides.
	Accept []string `json:"accept,omitempty"`
	// Variants is how many distinct contents are taken for right when there
	// is no Accept: 0 for 2 (the old and the new), -1 for any number.
	Variants int `json:"variants,omitempty"`
	// RestNS is how long a worker rests between two operations, where it does;
	// 0 for 200 us. StaggerNS is by how much each worker begins after the one
	// before it. Deterministic runs vary both.
	RestNS    int64 `json:"rest_ns,omitempty"`
	StaggerNS int64 `json:"stagger_ns,omitempty"`
}

// String is the spec as ParseSpec reads it.
func (s Spec) String() string {
	text := s.Name
	if s.Path != "" {
		text += ":" + s.Path
	}
	if s.N != 0 {
		text += "=" + strconv.Itoa(s.N)
	}
	return text
}

// MaxWorkers bounds N: a guest has 256 MiB.
const MaxWorkers = 4096

// ParseSpec reads "name[:path][=N],…" as -load takes it. "" and "none" are no
// loads.
func ParseSpec(text string) ([]Spec, error) {
	if text = strings.TrimSpace(text); text == "" || text == "none" {
		return nil, nil
	}
	var specs []Spec
	for item := range strings.SplitSeq(text, ",") {
		s, err := parseOne(strings.TrimSpace(item))
		if err != nil {
			return nil, fmt.Errorf("load %q: %w", item, err)
		}
		specs = append(specs, s)
	}
	return specs, nil
}

func parseOne(item string) (Spec, error) {
	var s Spec
	// The number comes last: a path may hold "=".
	if i := strings.LastIndexByte(item, '='); i >= 0 {
		n, err := strconv.Atoi(item[i+1:])
		if err != nil || n < 1 || n > MaxWorkers {
			return s, fmt.Errorf("%q is not a number from 1 to %d", item[i+1:], MaxWorkers)
		}
		s.N, item = n, item[:i]
	}
	name, file, has := strings.Cut(item, ":")
	l, err := Find(name)
	if err != nil {
		return s, err
	}
	if s.Name = name; has {
		if l.Name != procReaders.Name || !path.IsAbs(file) {
			return s, fmt.Errorf("only %s takes a path, an absolute one", procReaders.Name)
		}
		s.Path = file
	}
	return s, nil
}

// DefaultFor chooses loads for a patch of these functions: those that say
// they touch one of them, and always the fork storm, for new tasks are what
// every transition must cope with. Functions are named "object:function", or
// "function" alone, which then may belong to any of objects.
func DefaultFor(objects, functions []string) []Spec {
	var names []string
	for _, f := range functions {
		f, _, _ = strings.Cut(f, ",") // the kernel's "name,sympos"
		if strings.Contains(f, ":") {
			names = append(names, f)
			continue
		}
		for _, o := range objects {
			names = append(names, o+":"+f)
		}
	}
	var specs []Spec
	for _, l := range loads {
		for _, t := range l.Touches {
			s := Spec{Name: l.Name, Path: t.Path, Variants: t.Variants}
			if t.matches(names) && !slices.ContainsFunc(specs, s.same) {
				specs = append(specs, s)
			}
		}
	}
	if fork := (Spec{Name: forkStorm.Name}); !slices.ContainsFunc(specs, fork.same) {
		specs = append(specs, fork)
	}
	return specs
}

func (s Spec) same(other Spec) bool { return s.Name == other.Name && s.Path == other.Path }

func (t Touch) matches(names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool {
		ok, err := path.Match(t.Pattern, name)
		return err == nil && ok
	})
}
