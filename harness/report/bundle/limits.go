// SPDX-License-Identifier: Apache-2.0

package bundle

// Limits bound what a bundle may take of the machine that opens it, whatever
// the bundle says of itself.
type Limits struct {
	Archive  int64 // bytes of the file
	Total    int64 // bytes of all entries
	Entry    int64 // bytes of one
	Manifest int64 // bytes of bundle.json
	Entries  int
	// Ratio is how many times bigger than what was read of the file the entries
	// may be, beyond RatioFree bytes of them. Logs pack to a thirtieth.
	Ratio, RatioFree int64
	// Window is zstd's, in bytes: the memory that the unpacking takes.
	Window uint64
	// Names bounds the length of an entry's name, Depth its folders.
	Names, Depth int
	VCPUs        int
	MemMiB       int
}

// DefaultLimits leave room for a full bundle of a kernel with debug information
// and for a recorded run. A log is at most observe.DefaultLimit.
var DefaultLimits = Limits{
	Archive: 2 << 30, Total: 4 << 30, Entry: 2 << 30, Manifest: 8 << 20, Entries: 8192,
	Ratio: 400, RatioFree: 64 << 20, Window: 64 << 20, Names: 200, Depth: 16,
	VCPUs: 64, MemMiB: 16 << 10,
}
