// SPDX-License-Identifier: Apache-2.0

package debian

import "runtime/debug"

// freeMemory gives back what decompressors needed. They hold dictionaries of
// tens of megabytes, and the collector alone would let two of them stand side
// by side, above what a host process of ours may have.
func freeMemory() { debug.FreeOSMemory() }
