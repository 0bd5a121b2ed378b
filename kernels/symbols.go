// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// symbol is one line of kallsyms that is not a module's.
type symbol struct {
	name string
	addr uint64
	text bool
}

// Symbols are the symbols of a running kernel, those of modules left out.
type Symbols struct {
	byAddr []symbol
	byName map[string][]int
}

// ReadSymbols reads /proc/kallsyms, as root sees it.
func ReadSymbols(r io.Reader) (*Symbols, error) {
	s := &Symbols{byName: map[string][]int{}}
	for lines := bufio.NewScanner(r); ; {
		if !lines.Scan() {
			if err := lines.Err(); err != nil {
				return nil, fmt.Errorf("kallsyms: %w", err)
			}
			break
		}
		line := lines.Text()
		if strings.Contains(line, "\t[") {
			continue // of a module
		}
		fields := strings.Fields(line)
		if len(fields) != 3 {
			return nil, fmt.Errorf("kallsyms: cannot read the line %q", line)
		}
		addr, err := strconv.ParseUint(fields[0], 16, 64)
		if err != nil {
			return nil, fmt.Errorf("kallsyms: %w", err)
		}
		s.byAddr = append(s.byAddr, symbol{strings.Clone(fields[2]), addr, strings.ContainsAny(fields[1], "tTwW")})
	}
	slices.SortStableFunc(s.byAddr, func(a, b symbol) int { return cmp.Compare(a.addr, b.addr) })
	for i, sym := range s.byAddr {
		s.byName[sym.name] = append(s.byName[sym.name], i)
	}
	if len(s.byAddr) == 0 || s.byAddr[len(s.byAddr)-1].addr == 0 {
		return nil, fmt.Errorf("kallsyms: no addresses; it must be read by root, with kernel.kptr_restrict below 2")
	}
	return s, nil
}

// Has says whether there is a symbol of that name.
func (s *Symbols) Has(name string) bool { return len(s.byName[name]) > 0 }

// first is the first symbol whose name begins with prefix, "" if there is none.
func (s *Symbols) first(prefix string) string {
	for _, sym := range s.byAddr {
		if strings.HasPrefix(sym.name, prefix) {
			return sym.name
		}
	}
	return ""
}

// addrs are the addresses of all symbols called name.
func (s *Symbols) addrs(name string) (all []uint64) {
	for _, i := range s.byName[name] {
		all = append(all, s.byAddr[i].addr)
	}
	return all
}

// function is the name of the function that the code at addr belongs to,
// without the compiler's suffixes (.cold, .constprop.0); "" before the first.
func (s *Symbols) function(addr uint64) string {
	i, found := slices.BinarySearchFunc(s.byAddr, addr, func(a symbol, addr uint64) int { return cmp.Compare(a.addr, addr) })
	if !found {
		i--
	}
	for ; i >= 0; i-- {
		if s.byAddr[i].text {
			name, _, _ := strings.Cut(s.byAddr[i].name, ".")
			return name
		}
	}
	return ""
}
