// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"bytes"
	"os"
	"testing"

	"github.com/switchyard-project/switchyard/harness/patch/object"
)

// fuzzed are units with something of everything.
var fuzzed = []string{
	`static int n; static noinline int help(int a) { static int c; return random() + a + c++; } int f(int a) { n++; WARN_ON_ONCE(a == 3); printk("%s", __func__); return help(a) + 1; } EXPORT_SYMBOL(f);`,
	`static int n; static noinline int help(int a) { static int c; return random() + a + c++; } int f(int a) { n++; WARN_ON_ONCE(a == 4); printk("%s", __func__); return help(a) + 1; } EXPORT_SYMBOL(f); int g(void) { return help(n); }`,
}

// FuzzCompare holds that hostile objects give an error or an answer, and that
// the answer is a whole object.
func FuzzCompare(f *testing.F) {
	var seeds [][]byte
	for _, source := range fuzzed {
		data, err := os.ReadFile(compile(f, source).Name)
		if err != nil {
			f.Fatal(err)
		}
		seeds = append(seeds, data)
	}
	f.Add(seeds[0], uint16(300), byte(1))
	f.Add(seeds[1], uint16(0), byte(0))
	f.Add(seeds[1][:len(seeds[1])/2], uint16(0), byte(0))
	whole, err := object.Read("seed", bytes.NewReader(seeds[0]))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte, at uint16, by byte) {
		if data = bytes.Clone(data); int(at) < len(data) {
			data[at] ^= by
		}
		o, err := object.Read("fuzz", bytes.NewReader(data))
		if err != nil {
			return
		}
		for _, pair := range [][2]*object.Object{{whole, o}, {o, whole}, {o, o}} {
			d, err := Compare(pair[0], pair[1])
			if err != nil {
				continue
			}
			if pair[0] == pair[1] && !d.Empty() {
				t.Fatalf("an object differs from itself: %+v", d)
			}
			if s, err := Select(pair[0], pair[1], d); err == nil {
				sound(t, s)
			}
		}
	})
}

// FuzzDebugInfo holds that hostile debug information gives an error or an
// answer.
func FuzzDebugInfo(f *testing.F) {
	data, err := os.ReadFile(compile(f, "struct s { int a:3; struct { char c[4]; } b; int (*m)(struct s *); union { long l; }; }; int f(struct s *p) { return p->a; }", "-g").Name)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		d, err := ReadDebugInfo(bytes.NewReader(data), "/usr/src/linux")
		if err != nil {
			return
		}
		if changes := d.Layouts(d); len(changes) > 0 {
			t.Fatalf("types differ from themselves: %v", changes)
		}
	})
}
