// SPDX-License-Identifier: Apache-2.0

// Package kernels says which kernels there are to test on and what each can
// do: the Kit, the selector that names it, the capability table.
//
// Where kits come from lives in the packages below it (debian, source and
// others), each a Provider; what is done with a kit lives to the
// right of it in the line of docs/how-a-run-works.md, and must not be
// imported here.
package kernels

// Kit is all that is known of one kernel. Paths are absolute host paths to
// files that the cache keeps and nobody may change, unless said otherwise.
type Kit struct {
	// Release is what `uname -r` prints: "6.1.0-56-cloud-amd64".
	Release string
	// Version is the upstream version with its packaging: "6.1.192-2".
	Version string
	// Source is where the kit came from: "debian:bookworm-security".
	Source string
	// Flavour is the distribution's name of the configuration: "cloud-amd64".
	Flavour string
	// Dir holds all of the kit's files.
	Dir string
	// VMLinux is the uncompressed ELF image with the PVH note that QEMU's
	// -kernel starts directly; BZImage the image as shipped, which may be ""
	// for a kernel from files at hand.
	VMLinux, BZImage string
	// NoPVH says that VMLinux lacks the note: such a kernel is started by its
	// BZImage. See BootImage.
	NoPVH bool `json:",omitempty"`
	// ConfigFile is the kernel's .config, SystemMap its symbol table; either
	// may be "".
	ConfigFile, SystemMap string
	// ConfigDeduced says that ConfigFile is not the kernel's own but holds what
	// its image shows: see DeduceConfig.
	ConfigDeduced bool `json:",omitempty"`
	// ModulesDir is the folder lib/modules/RELEASE.
	ModulesDir string
	// HeadersDir is the folder to build external modules against, as a path
	// inside the tool root ("/usr/src/linux-headers-…"); "" without headers.
	HeadersDir string
	// Mounts are the folders of this kit that must stand at fixed places
	// inside the tool root for HeadersDir to work.
	Mounts []Mount
	// SourceDir is the source tree that the kernel was built from, and
	// BuildDir the folder it was built in (make's O=), with every object and
	// its .cmd file: what a single file is compiled anew with, by the kernel's
	// own flags. Both are host folders that stand in Mounts as well, since
	// the .cmd files name them by their places in there. "" for kernels that
	// somebody else built.
	SourceDir, BuildDir string
}

// BootImage is the file for QEMU's -kernel.
func (k *Kit) BootImage() string {
	if k.NoPVH {
		return k.BZImage
	}
	return k.VMLinux
}

// Mount is a host folder at a place inside the tool root.
type Mount struct{ Host, Inside string }
