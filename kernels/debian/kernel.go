// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"pault.ag/go/debian/dependency"

	"github.com/switchyard-project/switchyard/kernels"
)

// flavours are the configurations whose kernels are listed, longest name
// first. Debian's real-time kernels are left out: they have no livepatch.
var flavours = []string{"cloud-amd64", "amd64"}

// kernelNames are the packages that kits are made of. Images come as one
// package until 6.18, and from 6.19 on as linux-binary, linux-modules and
// linux-base (config and System.map), which linux-image depends on.
var kernelNames = regexp.MustCompile(`^linux-(image|binary|modules|base|headers)-[0-9]+\.[0-9]+[.~-](.*-)?(amd64|common)$|^linux-kbuild-[0-9]`)

// imageName is the package that stands for a kernel: it has the release in
// its name, of three numbers or, if it is a release candidate, of two (7.3~rc7
// is linux-image-7.3-amd64). See stands.
var imageName = regexp.MustCompile(`^linux-image-([0-9]+\.[0-9]+[.~-](.*-)?amd64)$`)

var twoNumbers = regexp.MustCompile(`^[0-9]+\.[0-9]+-`)

// stands says whether the package linux-image-RELEASE is a kernel's. An empty
// one that depends on the newest of a series has two numbers as well.
func stands(p Package, release string) bool {
	return !twoNumbers.MatchString(release) || strings.Contains(p.Depends, "linux-binary-"+release)
}

// kernelPackage says whether a kit may need the package.
func kernelPackage(name string) bool {
	return kernelNames.MatchString(name) && !strings.Contains(name, "-rt-")
}

// flavourOf is the flavour of a release, "" for one that is not listed.
func flavourOf(release string) string {
	for _, f := range flavours {
		version, ok := strings.CutSuffix(release, "-"+f)
		// What is left must be the version alone: "6.1.0-56", "6.12.117+deb13".
		if ok && !regexp.MustCompile(`-[a-z]`).MatchString(version) {
			return f
		}
	}
	return ""
}

// kernelSet are the kernel packages of all suites.
type kernelSet struct {
	suites   []Suite
	packages map[string][]Package // by name
}

func newKernelSet(suites []Suite, indexes []*index) kernelSet {
	set := kernelSet{suites, map[string][]Package{}}
	for _, ix := range indexes {
		for _, p := range ix.Kernels {
			set.packages[p.Name] = append(set.packages[p.Name], p)
		}
	}
	return set
}

// candidates are the kernels of the set.
func (set kernelSet) candidates() []kernels.Candidate {
	var all []kernels.Candidate
	for name, packages := range set.packages {
		match := imageName.FindStringSubmatch(name)
		if match == nil {
			continue
		}
		flavour := flavourOf(match[1])
		if flavour == "" {
			continue
		}
		for _, p := range packages {
			if !stands(p, match[1]) {
				continue
			}
			parts, headers := set.parts(p, match[1])
			c := kernels.Candidate{
				Release: match[1], Version: p.Version, Source: ProviderName + ":" + p.Suite, Flavour: flavour,
				HasHeaders: headers, Native: set.native(p), Provider: ProviderName,
			}
			sum := sha256.New()
			for _, part := range parts {
				c.Bytes += part.Size
				fmt.Fprintln(sum, part.SHA256)
			}
			c.Checksum = hex.EncodeToString(sum.Sum(nil))
			all = append(all, c)
		}
	}
	return all
}

func (set kernelSet) native(p Package) bool {
	return slices.ContainsFunc(set.suites, func(s Suite) bool {
		return s.Name == p.Suite && s.Native == kernels.Series(p.Version)
	})
}

// find gives the image package of a candidate.
func (set kernelSet) find(c kernels.Candidate) (Package, bool) {
	var found Package
	for _, p := range set.packages["linux-image-"+c.Release] {
		if p.Version == c.Version && (found.Name == "" || ProviderName+":"+p.Suite == c.Source) {
			found = p
		}
	}
	return found, found.Name != ""
}

// parts gives the packages of a kit: the image, what it is split into, and the
// headers with what they build on. headers says whether those are complete.
func (set kernelSet) parts(image Package, release string) (parts []Package, headers bool) {
	parts = []Package{image}
	for _, name := range set.needs(image, "linux-binary-", "linux-modules-", "linux-base-") {
		if p, ok := set.best(name, image.Version); ok {
			parts = append(parts, p)
		}
	}
	h, ok := set.exact("linux-headers-"+release, image.Version)
	if !ok {
		return parts, false
	}
	whole := []Package{h}
	for _, name := range set.needs(h, "linux-headers-", "linux-kbuild-") {
		p, ok := set.best(name, image.Version)
		if !ok {
			return parts, false
		}
		whole = append(whole, p)
	}
	return append(parts, whole...), len(whole) >= 3 // common and kbuild
}

// needs are the names in p's dependencies that begin with one of prefixes.
func (set kernelSet) needs(p Package, prefixes ...string) (names []string) {
	deps, err := dependency.Parse(p.Depends)
	if err != nil {
		return nil
	}
	for _, relation := range deps.Relations {
		for _, possibility := range relation.Possibilities[:min(1, len(relation.Possibilities))] {
			if slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(possibility.Name, prefix) }) {
				names = append(names, possibility.Name)
			}
		}
	}
	return names
}

func (set kernelSet) exact(name, version string) (Package, bool) {
	for _, p := range set.packages[name] {
		if p.Version == version {
			return p, true
		}
	}
	return Package{}, false
}

// best is the package of that version, else the newest: bookworm's
// linux-kbuild-6.1 has one name for all versions, and old ones go.
func (set kernelSet) best(name, version string) (Package, bool) {
	if p, ok := set.exact(name, version); ok {
		return p, true
	}
	var newest Package
	for _, p := range set.packages[name] {
		if newest.Name == "" || kernels.CompareVersions(p.Version, newest.Version) > 0 {
			newest = p
		}
	}
	return newest, newest.Name != ""
}
