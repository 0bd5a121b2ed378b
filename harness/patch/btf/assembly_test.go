// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestRewrite: assembly as gcc writes it, and what is assembled instead.
func TestRewrite(t *testing.T) {
	kernel := &Kernel{Image: Image{ORC: true, ORCWords: &ORCWords{Plain: 0x205, Saved: 0x215, Framed: 0x214}, ReturnThunks: true, Retpolines: true}}
	found, err := filepath.Glob("testdata/*.s")
	require.NoError(t, err)
	require.NotEmpty(t, found)
	for _, path := range found {
		t.Run(filepath.Base(path), func(t *testing.T) {
			text, err := os.ReadFile(path)
			require.NoError(t, err)
			got, unreliable := kernel.rewrite(string(text))
			got += "# unreliable: " + strings.Join(unreliable, " ") + "\n"
			golden := path + ".golden"
			if *update {
				require.NoError(t, os.WriteFile(golden, []byte(got), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			require.Equal(t, string(want), got)
		})
	}
}

// TestLearnORC: the words are found among what else a table holds, and not
// where there is too little to go by.
func TestLearnORC(t *testing.T) {
	table := func(counts map[[3]int]int) (entries, ips []byte) {
		for e, n := range counts {
			for range n {
				for _, v := range e {
					entries = append(entries, byte(v), byte(v>>8))
				}
				ips = append(ips, 0, 0, 0, 0)
			}
		}
		return entries, ips
	}
	const sp, saved, framed = 0x203, 0x283, 0x284
	whole := map[[3]int]int{{8, 0, sp}: 900, {8, 0, 0x303}: 5, {24, -16, saved}: 300, {16, -16, saved}: 500, {16, -16, framed}: 200, {0, 0, 0}: 50}
	entries, ips := table(whole)
	require.Equal(t, &ORCWords{Plain: sp, Saved: saved, Framed: framed}, learnORC(entries, ips))
	require.Nil(t, learnORC(entries[:len(entries)-1], ips))
	require.Nil(t, learnORC(entries, ips[4:]))
	whole[[3]int{8, 0, 0x303}] = 400 // which of the two is it?
	require.Nil(t, learnORC(table(whole)))
	require.Nil(t, learnORC(nil, nil))
}

// TestPrototype: declarators from the inside out.
func TestPrototype(t *testing.T) {
	char := &btf.Int{Name: "char", Size: 1}
	file := &btf.Struct{Name: "file"}
	fn := &btf.FuncProto{Return: &btf.Void{}, Params: []btf.FuncParam{{Type: &btf.Pointer{Target: file}}}}
	variadic := btf.FuncParam{Type: &btf.Void{}}
	for _, c := range []struct {
		proto *btf.FuncProto
		want  string
	}{
		{&btf.FuncProto{Return: &btf.Void{}}, "extern void f(void);"},
		{&btf.FuncProto{Return: &btf.Int{Name: "int"}, Params: []btf.FuncParam{{Name: "fmt", Type: &btf.Pointer{Target: &btf.Const{Type: char}}}, variadic}}, "extern int f(char const *, ...);"},
		{&btf.FuncProto{Return: &btf.Pointer{Target: fn}}, "extern void (*f(void))(struct file *);"},
		{&btf.FuncProto{Return: &btf.Void{}, Params: []btf.FuncParam{{Name: "cb", Type: &btf.Pointer{Target: fn}}}}, "extern void f(void (*)(struct file *));"},
		{&btf.FuncProto{Return: &btf.Void{}, Params: []btf.FuncParam{{Name: "a", Type: &btf.Pointer{Target: &btf.Array{Type: char, Nelems: 16}}}}}, "extern void f(char (*)[16]);"},
		{&btf.FuncProto{Return: &btf.Pointer{Target: &btf.TypeTag{Type: &btf.Volatile{Type: &btf.Typedef{Name: "u32"}}, Value: "user"}}}, "extern u32 volatile *f(void);"},
		{&btf.FuncProto{Return: &btf.Const{Type: &btf.Pointer{Target: &btf.Union{Name: "u"}}}}, "extern union u *const f(void);"},
	} {
		got, err := declarations{}.prototype(&btf.Func{Name: "f", Type: c.proto})
		require.NoError(t, err)
		require.Equal(t, c.want, strings.ReplaceAll(got, "* const", "*const"))
	}
	for _, hidden := range []btf.Type{&btf.Struct{}, &btf.Struct{Name: "two"}} {
		_, err := declarations{twice: map[string]bool{"two": true}}.prototype(&btf.Func{Name: "f", Type: &btf.FuncProto{Return: hidden}})
		require.Error(t, err)
	}
}
