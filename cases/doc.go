// SPDX-License-Identifier: Apache-2.0

// Package cases holds the tests of live patching itself, by theme; testdata/
// has the patches and target modules they use.
//
// A case uses the exported API of harness, harness/check and kernels, so that
// it reads the same in another repository. What must not live here: anything
// that two cases could share (it belongs in harness).
package cases
