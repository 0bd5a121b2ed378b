// SPDX-License-Identifier: Apache-2.0

package calls

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// image is the kernel's own functions by address, and which number each has
// among those that can be traced. It is some MiB, and made once.
type image struct {
	addresses []uint64
	starts    []uint32 // of names, in text
	indices   []int32  // in available_filter_functions, from 1; 0: cannot be traced
	text      []byte
}

// readImage reads /proc/kallsyms up to its first symbol of a module.
func readImage(r io.Reader) (*image, error) {
	im := &image{}
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := in.ReadSlice('\n')
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("the kernel's symbols: %w", err)
		}
		if bytes.IndexByte(line, '\t') >= 0 { // "… name\t[module]"
			break
		}
		address, kind, name, ok := cutSymbol(line)
		if !ok || kind != 't' && kind != 'T' && kind != 'w' && kind != 'W' {
			continue
		}
		if address == 0 {
			return nil, fmt.Errorf("the kernel does not show the addresses of its symbols")
		}
		im.addresses = append(im.addresses, address)
		im.starts = append(im.starts, uint32(len(im.text)))
		im.text = append(im.text, name...)
	}
	if len(im.addresses) == 0 {
		return nil, fmt.Errorf("the kernel has no symbols")
	}
	if !slices.IsSorted(im.addresses) {
		im.sort()
	}
	im.indices = make([]int32, len(im.addresses))
	return im, nil
}

// cutSymbol takes a line of /proc/kallsyms apart.
func cutSymbol(line []byte) (address uint64, kind byte, name []byte, ok bool) {
	line = bytes.TrimRight(line, "\n")
	hex, rest, ok := bytes.Cut(line, []byte(" "))
	if !ok || len(rest) < 3 || rest[1] != ' ' {
		return 0, 0, nil, false
	}
	address, err := strconv.ParseUint(string(hex), 16, 64)
	return address, rest[0], rest[2:], err == nil
}

// sort is for kernels (before 6.2's change of the order, and per-CPU symbols)
// whose list does not ascend. It is stable: names of one address keep their
// order, which sympos counts by.
func (im *image) sort() {
	order := make([]int32, len(im.addresses))
	for i := range order {
		order[i] = int32(i)
	}
	slices.SortStableFunc(order, func(a, b int32) int {
		switch x, y := im.addresses[a], im.addresses[b]; {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	})
	addresses, starts := make([]uint64, len(order)), make([]uint32, len(order))
	var text []byte
	for i, at := range order {
		addresses[i], starts[i] = im.addresses[at], uint32(len(text))
		text = append(text, im.bytes(int(at))...)
	}
	im.addresses, im.starts, im.text = addresses, starts, text
}

func (im *image) bytes(i int) []byte {
	end := len(im.text)
	// The order of starts is that of text until sort has made it so again.
	if i+1 < len(im.starts) {
		end = int(im.starts[i+1])
	}
	return im.text[im.starts[i]:end]
}

// number takes in available_filter_functions, whose lines (up to the first of
// a module) ascend as the addresses do. A kernel takes a line's number in the
// place of a name in set_ftrace_filter, and need not look up the names of all
// its functions then (5.1+: "ftrace: Allow enabling of filters via index
// of available_filter_functions"). A line that has no symbol is one of a dead
// site; from 6.0 on it says so.
func (im *image) number(r io.Reader) error {
	in := bufio.NewReaderSize(r, 64<<10)
	at, last := 0, []byte(nil)
	for n := int32(1); ; n++ {
		line, err := in.ReadSlice('\n')
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("the functions that can be traced: %w", err)
		}
		name := bytes.TrimRight(line, "\n")
		if bytes.IndexByte(name, ' ') >= 0 { // "name [module]"
			return nil
		}
		ahead := lookAhead
		if bytes.HasPrefix(name, deadSite) {
			continue
		}
		if bytes.Equal(name, last) { // before 6.0 it has the name of the function before it
			ahead = 16
		}
		for i := at; i < min(at+ahead, len(im.addresses)); i++ {
			if bytes.Equal(im.bytes(i), name) {
				im.indices[i], at, last = n, i+1, im.bytes(i)
				break
			}
		}
	}
}

// lookAhead bounds the search for a line's symbol: between two functions that
// can be traced lie some that cannot.
const lookAhead = 16 << 10

// deadSite begins the lines of fentry sites without a function (6.0+,
// kernel/trace/ftrace.c: FTRACE_INVALID_FUNCTION).
var deadSite = []byte("__ftrace_invalid_address___")

// find is the function that holds address.
func (im *image) find(address uint64) (i int, ok bool) {
	i, exact := slices.BinarySearch(im.addresses, address)
	if !exact {
		i--
	}
	if i < 0 || address > im.addresses[len(im.addresses)-1]+lastFunction {
		return 0, false
	}
	for i > 0 && im.addresses[i-1] == im.addresses[i] { // the first of its names
		i--
	}
	return i, true
}

// lastFunction is how far the image's last function may go: modules lie above.
const lastFunction = 64 << 10

// lookup is the function of that name; sympos tells those of one name apart,
// from 1, 0 for the only one (livepatch's own rule).
func (im *image) lookup(name string, sympos uint64) (i int, err error) {
	i, n := -1, uint64(0)
	want := []byte(name)
	for at := range im.addresses {
		if !bytes.Equal(im.bytes(at), want) {
			continue
		}
		if n++; n == sympos {
			return at, nil
		}
		i = at
	}
	switch {
	case n == 0:
		return 0, fmt.Errorf("the kernel has no function %s", name)
	case sympos == 0 && n == 1:
		return i, nil
	case sympos == 0:
		return 0, fmt.Errorf("the kernel has %d functions %s", n, name)
	}
	return 0, fmt.Errorf("the kernel has %d functions %s, position %d is none of them", n, name, sympos)
}
