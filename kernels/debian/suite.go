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
	// Name is the folder below dists/, and the Codename its release file
	// must have.
	Name string
	// Part says where on a mirror it is and whose signatures count.
	Part part
	// Native is the series of the kernel that the suite was released with.
	Native string
	// Tools marks the suites that the tool root's packages come from.
	Tools bool
}

// Suites are the suites looked at, one row each.
//
// Sources: https://www.debian.org/releases/ for names and kernels,
// https://wiki.debian.org/SourcesList for where updates are.
var Suites = []Suite{
	{Name: "bookworm", Part: archivePart, Native: "6.1"},
	{Name: "bookworm-updates", Part: archivePart, Native: "6.1"},
	{Name: "bookworm-security", Part: securityPart, Native: "6.1"},
	{Name: "trixie", Part: archivePart, Native: "6.12", Tools: true},
	{Name: "trixie-updates", Part: archivePart, Native: "6.12", Tools: true},
	{Name: "trixie-security", Part: securityPart, Native: "6.12", Tools: true},
}
