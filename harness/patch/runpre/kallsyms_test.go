// SPDX-License-Identifier: Apache-2.0

package runpre

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// form is how a kernel writes its tables.
type form struct {
	name      string
	align     int
	before    bool // addresses stand before the names
	extra     bool // another table before the tokens, as in 6.1
	base      bool // a base is written
	percpu    bool // positive offsets are absolute
	fromPlace bool // offsets count from themselves
}

var forms = []form{
	{name: "5.10", align: 8, before: true, base: true, percpu: true},
	{name: "6.1", align: 8, before: true, extra: true, base: true, percpu: true},
	{name: "6.6", align: 8, base: true, percpu: true},
	{name: "6.16", align: 8, base: true},
	{name: "7.0", align: 4, fromPlace: true},
}

const (
	testText   = 0xffffffff81000000
	testRodata = 0xffffffff82000000
)

// write writes symbols in a form, behind lead bytes of something else. Every
// byte stands for itself but for two tokens of several, which no name uses.
func (f form) write(symbols []Symbol, lead int) []byte {
	b := make([]byte, lead)
	pad := func() {
		for len(b)%f.align != 0 {
			b = append(b, 0)
		}
	}
	u32 := func(v uint32) { b = binary.LittleEndian.AppendUint32(b, v) }
	addresses := func() {
		pad()
		for _, s := range symbols {
			switch {
			case f.fromPlace:
				u32(uint32(s.Address - testRodata - uint64(len(b))))
			case f.percpu && s.Address < 1<<31:
				u32(uint32(s.Address))
			case f.percpu:
				u32(uint32(testText - 1 - s.Address))
			default:
				u32(uint32(s.Address - testText))
			}
		}
		pad()
		if f.base {
			b = binary.LittleEndian.AppendUint64(b, testText)
		}
	}
	pad()
	if f.before {
		addresses()
	}
	u32(uint32(len(symbols)))
	pad()
	begin := len(b)
	var markers []uint32
	for i, s := range symbols {
		if i%chunk == 0 {
			markers = append(markers, uint32(len(b)-begin))
		}
		if n := len(s.Name) + 1; n < 0x80 {
			b = append(b, byte(n))
		} else {
			b = append(b, byte(n&0x7f|0x80), byte(n>>7))
		}
		b = append(b, s.Kind)
		b = append(b, s.Name...)
	}
	pad()
	for _, m := range markers {
		u32(m)
	}
	pad()
	if f.extra {
		for range symbols {
			b = append(b, 1, 2, 3)
		}
		pad()
	}
	table := len(b)
	var index []uint16
	for i := range tokens {
		index = append(index, uint16(len(b)-table))
		if i > 1 && i < 0x7f {
			b = append(b, byte(i))
		} else {
			b = append(b, fmt.Sprintf("token%d", i)...)
		}
		b = append(b, 0)
	}
	pad()
	for _, n := range index {
		b = binary.LittleEndian.AppendUint16(b, n)
	}
	if !f.before {
		addresses()
	}
	return append(b, make([]byte, 64)...)
}

func (f form) symbols(t *rapid.T) []Symbol {
	n := rapid.IntRange(2*chunk+1, 5*chunk).Draw(t, "number")
	random := rand.New(rand.NewPCG(uint64(rapid.Uint32().Draw(t, "seed")), 0))
	var all []Symbol
	if f.percpu {
		for i := range 20 {
			all = append(all, Symbol{fmt.Sprintf("percpu%d", i), 'D', uint64(64 * i)})
		}
	}
	all = append(all, Symbol{"_text", 'T', testText})
	for at := uint64(testText); len(all) < n; at += uint64(random.IntN(3) * 16) {
		name := fmt.Sprintf("name%d", random.IntN(200))
		if random.IntN(10) == 0 {
			name = fmt.Sprintf("export%d", len(all))
		}
		if random.IntN(50) == 0 && !f.before { // longer than a byte says
			name += fmt.Sprintf("%0200d", 7)
		}
		all = append(all, Symbol{name, "tTdDbr"[random.IntN(6)], at})
	}
	return all
}

// knownOf are symbols that the image exports.
func knownOf(symbols []Symbol) map[string]uint64 {
	known := map[string]uint64{}
	for _, s := range symbols {
		if s.Global() && strings.HasPrefix(s.Name, "export") {
			known[s.Name] = s.Address
		}
	}
	return known
}

// TestKallsyms holds that what is written in each form there has been is read.
func TestKallsyms(t *testing.T) {
	for _, f := range forms {
		t.Run(f.name, rapid.MakeCheck(func(t *rapid.T) {
			want := f.symbols(t)
			data := f.write(want, rapid.IntRange(0, 100).Draw(t, "lead"))
			got, err := kallsyms(data, testRodata, testText, knownOf(want))
			require.NoError(t, err)
			require.Equal(t, want, got)
		}))
	}
}

// FuzzKallsyms holds that hostile data gives an error and never a panic.
func FuzzKallsyms(f *testing.F) {
	var symbols []Symbol
	for i := range 3 * chunk {
		symbols = append(symbols, Symbol{fmt.Sprintf("name%d", i), 't', testText + uint64(i)})
	}
	symbols[0].Name = "_text"
	symbols[700] = Symbol{"export", 'T', testText + 700}
	for _, form := range forms {
		f.Add(form.write(symbols, 0))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if all, err := kallsyms(data, testRodata, testText, knownOf(symbols)); err == nil {
			require.True(t, slices.IsSortedFunc(all, func(a, b Symbol) int {
				if a.Address < b.Address {
					return -1
				}
				return 0
			}))
		}
	})
}

// TestEveryKitHere reads the image of each kernel in this machine's cache.
func TestEveryKitHere(t *testing.T) {
	if testing.Short() {
		t.Skip("reads real images")
	}
	st, err := store.Open("")
	require.NoError(t, err)
	found, err := filepath.Glob(filepath.Join(st.Dir, "kernels", "*", "kit.json"))
	require.NoError(t, err)
	for _, file := range found {
		kit, err := kernels.ReadKitFile(filepath.Dir(file))
		require.NoError(t, err)
		im, err := OpenImage(kit)
		require.NoError(t, err)
		for name, where := range map[string]byte{"klp_enable_patch": 'T', "saved_command_line": 'D', "klp_transition_mutex": 0} {
			places, err := im.Lookup(VMLinux, name)
			require.NoError(t, err)
			if where == 0 {
				require.Empty(t, places, "no kernel ever had it")
				continue
			}
			require.Len(t, places, 1, "%s of %s", name, kit.Release)
			require.Equal(t, where == 'T', places[0].Exported)
		}
	}
	t.Logf("%d kernels", len(found))
}
