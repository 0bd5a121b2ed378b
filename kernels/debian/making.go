// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/kernels"
)

// makingNames are the packages that Debian's kernels are made from and with:
// the source with Debian's patches applied, and the compilers and assemblers of
// each release of Debian, which the tool root, being of one release, does not
// have.
var makingNames = regexp.MustCompile(`^(linux-source-[0-9]+\.[0-9]+|(gcc|cpp)-[0-9]+(-x86-64-linux-gnu)?|libgcc-[0-9]+-dev|binutils-x86-64-linux-gnu|libbinutils|libsframe[0-9]+)$`)

// Gone is the error for a package that the archive does not offer in the
// version wanted, any more or yet.
type Gone struct {
	Name, Version string
	Offered       []string // versions that it does offer
}

func (g *Gone) Error() string {
	if len(g.Offered) == 0 {
		return fmt.Sprintf("the Debian archive has no package %s", g.Name)
	}
	return fmt.Sprintf("the Debian archive has no %s %s (any more); it has %s", g.Name, g.Version, strings.Join(g.Offered, ", "))
}

// Source is the package with the source of the kernel of a kit from here, of
// exactly its version. Errors: *Gone, *kernels.Lacking without a network.
func (a *Archive) Source(ctx context.Context, kit *kernels.Kit) (Package, error) {
	name := "linux-source-" + kernels.Series(kit.Version)
	offers, err := a.making(ctx, suiteOf(kit), name, kit.Version)
	if err != nil {
		return Package{}, err
	}
	return pick(name, kit.Version, offers)
}

// Compiler gives the packages of the C compiler of a series ("12") that the
// kernel of a kit was compiled with: that version if the archive still has it,
// else the one nearest to the kernel. Errors as of Source.
func (a *Archive) Compiler(ctx context.Context, kit *kernels.Kit, series, version string) ([]Package, error) {
	gcc, err := a.closest(ctx, kit, "gcc-"+series, version)
	if err != nil {
		return nil, err
	}
	// Since gcc-13 the compiler proper is in packages named for what they
	// compile for, which the plain ones depend on.
	suffix := ""
	if target := "-x86-64-linux-gnu"; strings.Contains(gcc.Depends, "gcc-"+series+target) {
		suffix = target
		if gcc, err = a.closest(ctx, kit, "gcc-"+series+target, gcc.Version); err != nil {
			return nil, err
		}
	}
	all := []Package{gcc}
	for _, name := range []string{"cpp-" + series + suffix, "libgcc-" + series + "-dev"} {
		p, err := a.closest(ctx, kit, name, gcc.Version)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// Assembler gives the packages of the newest assembler that the kernel's
// release of Debian has. Errors as of Source.
func (a *Archive) Assembler(ctx context.Context, kit *kernels.Kit) ([]Package, error) {
	as, err := a.closest(ctx, kit, "binutils-x86-64-linux-gnu", "")
	if err != nil {
		return nil, err
	}
	all := []Package{as}
	for _, name := range append([]string{"libbinutils"}, libsframe.FindString(as.Depends)) {
		p, err := a.closest(ctx, kit, name, as.Version)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// libsframe is a library that has its version in its name.
var libsframe = regexp.MustCompile(`\blibsframe[0-9]+\b`)

// closest is the package of that version, else the newest of the first suite
// that has any.
func (a *Archive) closest(ctx context.Context, kit *kernels.Kit, name, version string) (Package, error) {
	offers, err := a.making(ctx, suiteOf(kit), name, version)
	if err != nil {
		return Package{}, err
	}
	if p, err := pick(name, version, offers); err == nil || len(offers) == 0 {
		return p, err
	}
	first := slices.DeleteFunc(slices.Clone(offers), func(p Package) bool { return p.Suite != offers[0].Suite })
	return slices.MaxFunc(first, func(a, b Package) int { return kernels.CompareVersions(a.Version, b.Version) }), nil
}

func pick(name, version string, offers []Package) (Package, error) {
	gone := &Gone{Name: name, Version: version}
	for _, p := range offers {
		if p.Version == version {
			return p, nil
		}
		if !slices.Contains(gone.Offered, p.Version) {
			gone.Offered = append(gone.Offered, p.Version)
		}
	}
	return Package{}, gone
}

// suiteOf is the suite that a kit came from, "" if it is not from here.
func suiteOf(kit *kernels.Kit) string {
	suite, ok := strings.CutPrefix(kit.Source, ProviderName+":")
	if !ok {
		return ""
	}
	return suite
}

// making lists what the archive offers of a package of makingNames: the suites
// are asked one by one, nearest first, until one has the version wanted.
func (a *Archive) making(ctx context.Context, suite, name, version string) (offers []Package, err error) {
	var failed error
	for _, s := range a.nearest(suite) {
		ix, err := a.indexIf(ctx, s, func(ix *index) bool { return ix.complete() && a.young(ix) })
		if err == nil && !ix.complete() { // of the cache, since nothing else could be had
			err = &kernels.Lacking{What: "a list of the sources in the Debian archive", Remedy: "run it again with a network"}
		}
		if err != nil {
			failed = err
			continue
		}
		for _, p := range ix.Making {
			if p.Name != name {
				continue
			}
			offers = append(offers, p)
			if p.Version == version {
				return offers, nil
			}
		}
	}
	return offers, failed
}

// nearest orders the suites for a kernel of one of them: that suite, those of
// the same release of Debian ("bookworm" and "bookworm-security"), the rest by
// distance.
func (a *Archive) nearest(suite string) []Suite {
	codename, _, _ := strings.Cut(suite, "-")
	rank := func(s Suite) int {
		base, _, _ := strings.Cut(s.Name, "-")
		switch {
		case s.Name == suite:
			return 0
		case base == codename:
			return 1
		}
		return 2 + s.Distance
	}
	all := slices.Clone(a.Suites)
	slices.SortStableFunc(all, func(a, b Suite) int { return rank(a) - rank(b) })
	return all
}
