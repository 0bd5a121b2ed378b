// SPDX-License-Identifier: Apache-2.0

// Package source makes kits of kernels that are built here: from a release
// tarball (of $SWITCHYARD_MIRROR or kernel.org's release site) or from a source
// tree, with a small configuration of ours or one that the user brings.
//
// What is built is decided by a Spec. A build happens in the tool root, in a
// folder `builds/KEY` of the cache that stays until the kernel is done, so that
// one which was interrupted goes on where it was; the kit then holds that
// folder, so that modules and single files can be built against it. KEY is a
// hash of the tree, the configuration asked for and the compiler.
//
// What must not live here: what is done with a kit, and the way into the tool
// root.
package source
