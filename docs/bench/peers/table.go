// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
)

// The contenders that others are divided by, by their name in the samples.
const (
	floorName = "floor"
	forkName  = "fork"
	runName   = "run"
)

// sample is one measurement: CPU and wall seconds of one contender on one
// kernel in one round.
type sample struct {
	round, name, label, kernel string
	cpu, wall                  float64
}

// short writes the ratios that our forks are judged by.
func short(file string, w io.Writer) error {
	all, err := load(file)
	if err != nil {
		return err
	}
	var done []string
	for _, first := range all {
		if slices.Contains(done, first.kernel) {
			continue
		}
		done = append(done, first.kernel)
		name := func(name string) []sample { return of(all, first.kernel, name) }
		fmt.Fprintf(w, "- %s: our cold boot takes %s times the wall time of our fork, our fork %s times that of a bare QEMU's start and exit (%s where a QEMU waits)",
			first.kernel, ratio(name("boot"), name(forkName), wall),
			ratio(name(forkName), name("qemu"), wall), ratio(name("ready"), name("qemu"), wall))
		if run := name(runName); len(run) > 0 {
			fmt.Fprintf(w, "; a whole run in a fork takes %s CPU s, vmtest %s and virtme-ng %s times the CPU of that",
				spread(run, cpu), ratio(name("vmtest"), run, cpu), ratio(name("virtme"), run, cpu))
		}
		fmt.Fprintln(w, ".")
	}
	return nil
}

func load(file string) ([]sample, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := samples(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return all, nil
}

// table writes the samples of a file as Markdown: for each kernel and
// contender the medians, and the ratios to the floor, to the fork and to the
// whole run. A ratio is the median of the ratios within each round, since the
// machine's speed drifts from round to round.
func table(file string, w io.Writer) error {
	all, err := load(file)
	if err != nil {
		return err
	}
	fmt.Fprintln(w, "| kernel | contender | CPU s (min-max) | wall s (min-max) | CPU / floor | wall / floor | CPU / our fork | wall / our fork | CPU / our run | wall / our run | n |")
	fmt.Fprintln(w, "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
	var done []string
	for _, first := range all {
		key := first.kernel + "\t" + first.name
		if slices.Contains(done, key) {
			continue
		}
		done = append(done, key)
		ours := of(all, first.kernel, first.name)
		fmt.Fprintf(w, "| %s | %s | %s | %s |", first.kernel, first.label, spread(ours, cpu), spread(ours, wall))
		for _, against := range []string{floorName, forkName, runName} {
			theirs := of(all, first.kernel, against)
			fmt.Fprintf(w, " %s | %s |", ratio(ours, theirs, cpu), ratio(ours, theirs, wall))
		}
		fmt.Fprintf(w, " %d |\n", len(ours))
	}
	return nil
}

func cpu(s sample) float64  { return s.cpu }
func wall(s sample) float64 { return s.wall }

// samples reads lines of six fields set apart by tabs: round, name, label,
// kernel, CPU seconds, wall seconds.
func samples(r io.Reader) ([]sample, error) {
	var all []sample
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		f := strings.Split(lines.Text(), "\t")
		if len(f) != 6 {
			return nil, fmt.Errorf("line %d has %d fields, not 6", n, len(f))
		}
		cpu, err := strconv.ParseFloat(f[4], 64)
		if err != nil {
			return nil, fmt.Errorf("line %d, CPU seconds: %w", n, err)
		}
		wall, err := strconv.ParseFloat(f[5], 64)
		if err != nil {
			return nil, fmt.Errorf("line %d, wall seconds: %w", n, err)
		}
		if cpu <= 0 || wall <= 0 {
			return nil, fmt.Errorf("line %d: nothing takes %v CPU and %v wall seconds", n, cpu, wall)
		}
		all = append(all, sample{f[0], f[1], f[2], f[3], cpu, wall})
	}
	if len(all) == 0 && lines.Err() == nil {
		return nil, fmt.Errorf("no samples")
	}
	return all, lines.Err()
}

// of is the samples of a contender on a kernel, in their order.
func of(all []sample, kernel, name string) []sample {
	var own []sample
	for _, s := range all {
		if s.kernel == kernel && s.name == name {
			own = append(own, s)
		}
	}
	return own
}

func spread(of []sample, value func(sample) float64) string {
	var v []float64
	for _, s := range of {
		v = append(v, value(s))
	}
	return fmt.Sprintf("%s (%s-%s)", seconds(median(v)), seconds(slices.Min(v)), seconds(slices.Max(v)))
}

// ratio is the median over the rounds that both took part in, or a dash.
func ratio(ours, theirs []sample, value func(sample) float64) string {
	var v []float64
	for _, s := range ours {
		i := slices.IndexFunc(theirs, func(t sample) bool { return t.round == s.round })
		if i >= 0 {
			v = append(v, value(s)/value(theirs[i]))
		}
	}
	if len(v) == 0 {
		return "-"
	}
	return fmt.Sprintf("%.3g", median(v))
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// seconds keeps the digits that a measurement of milliseconds has.
func seconds(s float64) string {
	if s < 1 {
		return fmt.Sprintf("%.3f", s)
	}
	return fmt.Sprintf("%.2f", s)
}
