// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// DefaultFlavour is the configuration taken when a selector names none: it
// boots fastest of Debian's.
const DefaultFlavour = "cloud-amd64"

// flavours are the short names of flavours that a selector may use behind its
// colon, beside the distribution's own.
var flavours = map[string]string{
	"cloud":   "cloud-amd64",
	"generic": "amd64",
}

// lts are the series that kernel.org maintains as longterm.
//
// Source: https://www.kernel.org/category/releases.html, "Longterm release
// kernels".
var lts = []string{"5.10", "5.15", "6.1", "6.6", "6.12", "6.18"}

// SelectorKind is how a Selector chooses.
type SelectorKind int

// The kinds of selectors.
const (
	ByVersion SelectorKind = iota // version prefix, or an exact release
	AllAtHand                     // "all": each kit in the cache
	NewestLTS                     // "lts": the newest of each longterm series to be had
	ByPath                        // a file or folder, or HostKernel: see PathProvider
)

// HostKernel is the selector for the kernel that runs here. A folder of that
// name is "./host".
const HostKernel = "host"

// Selector is one item of what a user writes behind -kernel.
type Selector struct {
	// Text is the item as written, without the space around it.
	Text string
	Kind SelectorKind
	// Pattern is the version prefix or release, or the path.
	Pattern string
	// Flavour is the distribution's name of the configuration that was asked
	// for; "" if none was: then DefaultFlavour, or whatever flavour an exact
	// release has.
	Flavour string
}

// SourceFlavour is the flavour of kernels that are built here: "6.1:source" is
// such a 6.1 even where a distribution ships one.
const SourceFlavour = "source"

// SelectorError says that a selector cannot be read. The command exits with
// status 2 on it.
type SelectorError struct {
	Text   string // the item
	Reason string // what is wrong with it and what would be right
}

func (e *SelectorError) Error() string {
	return fmt.Sprintf("kernel selector %q: %s", e.Text, e.Reason)
}

const selectorForms = `write a version ("6.12"), a release ("6.12.117+deb13-cloud-amd64"), "lts", "all", "host" for the kernel that runs here, or a path ("./linux", "/boot/vmlinuz-6.12.0"), several with commas between, each with an optional flavour ("6.1:generic"); "6.6+NAME" is one that was built here under that name`

var selectorText = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+~_-]*$`)

// ParseSelector reads a comma list of selectors. The error is a
// *SelectorError.
func ParseSelector(text string) ([]Selector, error) {
	var all []Selector
	for item := range strings.SplitSeq(text, ",") {
		item = strings.TrimSpace(item)
		s, err := parseOne(item)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func parseOne(item string) (Selector, error) {
	s := Selector{Text: item}
	if item == "" {
		return s, &SelectorError{item, "it is empty; " + selectorForms}
	}
	if item == HostKernel || isPath(item) {
		s.Kind, s.Pattern = ByPath, item
		return s, nil
	}
	pattern, flavour, colon := strings.Cut(item, ":")
	if colon {
		if flavour == "" || !selectorText.MatchString(flavour) {
			return s, &SelectorError{item, `a flavour follows the colon, "generic" or "cloud" for example`}
		}
		s.Flavour = flavour
		if long, ok := flavours[flavour]; ok {
			s.Flavour = long
		}
	}
	switch pattern {
	case "all":
		s.Kind = AllAtHand
	case "lts":
		s.Kind = NewestLTS
	default:
		if !selectorText.MatchString(pattern) {
			return s, &SelectorError{item, "that is no version; " + selectorForms}
		}
		s.Kind, s.Pattern = ByVersion, pattern
	}
	return s, nil
}

// isPath says whether an item means a file: it has a slash, or is one of the
// shell's names for a folder.
func isPath(item string) bool {
	return strings.Contains(item, "/") || item == "." || item == ".." || item == "~"
}

// Matches says whether the selector could choose c, newest or not.
func (s Selector) Matches(c Candidate) bool {
	switch s.Kind {
	case AllAtHand:
		return c.Cached && (s.Flavour == "" || s.Flavour == c.Flavour)
	case NewestLTS:
		if c.FromSource && (c.Label != "" || !c.Cached) {
			return false // a build of many minutes must be asked for by its name
		}
		return s.flavourFits(c) && isLTS(c.Version)
	case ByVersion:
		if c.FromSource {
			version, label := s.labelled()
			return s.flavourFits(c) && label == c.Label && prefixOf(version, c.Version)
		}
		if s.Pattern == c.Release {
			return s.Flavour == "" || s.Flavour == c.Flavour
		}
		return s.flavourFits(c) && (prefixOf(s.Pattern, c.Release) || prefixOf(s.Pattern, c.Version))
	}
	return false
}

func (s Selector) flavourFits(c Candidate) bool {
	if s.Flavour == "" {
		return c.Flavour == DefaultFlavour || c.FromSource
	}
	return c.Flavour == s.Flavour
}

// labelled takes a pattern apart at its plus sign: behind it stands the name of
// a kernel that was built here. (A distribution's release may have a plus sign
// as well, and is compared whole.)
func (s Selector) labelled() (version, label string) {
	version, label, _ = strings.Cut(s.Pattern, "+")
	return version, label
}

// couldBeShipped says that found, of which all are built here, may not be what
// the selector means: a distribution may have such a kernel, which nobody has
// asked for yet.
func (s Selector) couldBeShipped(found []Candidate) bool {
	return s.Kind == ByVersion && !strings.Contains(s.Pattern, "+") && s.Flavour != SourceFlavour &&
		!slices.ContainsFunc(found, func(c Candidate) bool { return !c.FromSource })
}

// shipped says whether have holds a distribution's kernel that s could choose,
// so that no farther place need be asked for one.
func (s Selector) shipped(have []Candidate) bool {
	return s.Kind == ByVersion && slices.ContainsFunc(have, func(c Candidate) bool { return s.Matches(c) && !c.FromSource })
}

// prefixOf says whether version begins with prefix and a number ends there:
// "6.1" is no prefix of "6.12".
func prefixOf(prefix, version string) bool {
	rest, ok := strings.CutPrefix(version, prefix)
	return ok && (rest == "" || strings.ContainsRune(".-+~", rune(rest[0])))
}

func isLTS(version string) bool {
	for _, series := range lts {
		if Series(version) == series {
			return true
		}
	}
	return false
}
