// SPDX-License-Identifier: Apache-2.0

// Package debian gets kernels, and the packages of the tool root, from the
// Debian archive: it finds a mirror, verifies the release files' signatures
// and every file's checksum, and makes kits of what it fetched. Nothing of
// Debian's is needed on the host.
//
// What must not live here: what is done with a kit or a package afterwards,
// and which packages the tool root consists of.
package debian

// part is a separately mirrored and separately signed piece of the archive.
type part string

const (
	archivePart  part = "debian"
	securityPart part = "debian-security"
)

// Suite is a suite that kernels are looked for in.
type Suite struct {
	// Name is the folder below dists/.
	Name string
	// Codename is what its release file must say; "" if that is Name.
	Codename string
	// Part says where on a mirror it is and whose signatures count.
	Part part
	// Native is the series of the kernel that the suite was released with.
	Native string
	// Tools marks the suites that the tool root's packages come from.
	Tools bool
	// Distance orders suites by what asking them costs: farther ones are
	// asked when the nearer ones have no kernel that fits.
	Distance int
	// Moving marks a suite that changes daily, so that a mirror which stands
	// still (a snapshot of one day, one that is no longer fed) has it with a
	// release file past its Valid-Until. It is believed all the same, for its
	// signature holds: an old kernel is something to test, not to run on.
	Moving bool
}

// codename is what the suite's release file must say.
func (s Suite) codename() string {
	if s.Codename != "" {
		return s.Codename
	}
	return s.Name
}

// farthest is the largest distance of suites.
func farthest(suites []Suite) (most int) {
	for _, s := range suites {
		most = max(most, s.Distance)
	}
	return most
}

// within chooses the suites of at most that distance.
func within(distance int) func(Suite) bool {
	return func(s Suite) bool { return s.Distance <= distance }
}

// Suites are the suites looked at, one row each.
//
// Sources: https://www.debian.org/releases/ for names and kernels,
// https://wiki.debian.org/SourcesList for where updates are,
// https://wiki.debian.org/DebianExperimental for the codename of that.
var Suites = []Suite{
	{Name: "bookworm", Part: archivePart, Native: "6.1"},
	{Name: "bookworm-updates", Part: archivePart, Native: "6.1"},
	{Name: "bookworm-security", Part: securityPart, Native: "6.1"},
	{Name: "bookworm-backports", Part: archivePart},
	{Name: "trixie", Part: archivePart, Native: "6.12", Tools: true},
	{Name: "trixie-updates", Part: archivePart, Native: "6.12", Tools: true},
	{Name: "trixie-security", Part: securityPart, Native: "6.12", Tools: true},
	{Name: "trixie-backports", Part: archivePart},
	{Name: "bullseye-security", Part: securityPart, Native: "5.10", Distance: 1},
	{Name: "bullseye", Part: archivePart, Native: "5.10", Distance: 2},
	{Name: "experimental", Codename: "rc-buggy", Part: archivePart, Distance: 2, Moving: true},
	{Name: "forky", Part: archivePart, Distance: 2, Moving: true},
	{Name: "sid", Part: archivePart, Distance: 2, Moving: true},
}
