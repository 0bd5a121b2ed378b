// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"regexp"
	"strings"
	"testing"

	"github.com/cilium/ebpf/btf"
	"github.com/stretchr/testify/require"
)

func TestOnStack(t *testing.T) {
	word := &btf.Int{Name: "long", Size: 8}
	pointer := &btf.Pointer{Target: word}
	wide := &btf.Int{Name: "__int128", Size: 16}
	pair := &btf.Struct{Name: "pair", Size: 16}
	big := &btf.Struct{Name: "big", Size: 24}
	f := func(result btf.Type, params ...btf.Type) *btf.Func {
		p := &btf.FuncProto{Return: result}
		for _, t := range params {
			p.Params = append(p.Params, btf.FuncParam{Name: "p", Type: t})
		}
		return &btf.Func{Name: "f", Type: p}
	}
	void := &btf.Void{}
	for name, c := range map[string]struct {
		f    *btf.Func
		want string
	}{
		"none":                     {f(void), ""},
		"six":                      {f(word, word, pointer, word, word, word, word), ""},
		"seven":                    {f(word, word, word, word, word, word, word, word), "need 7 registers"},
		"a pair is two":            {f(void, word, word, word, word, pair), ""},
		"a pair too many":          {f(void, word, word, word, word, word, pair), "need 7 registers"},
		"two words in one":         {f(void, wide, wide, wide), ""},
		"by value":                 {f(void, big), "passed on the stack"},
		"typedef of one":           {f(void, &btf.Typedef{Name: "t", Type: &btf.Const{Type: big}}), "passed on the stack"},
		"a result by address":      {f(big, word, word, word, word, word, word), "need 7 registers"},
		"a result in registers":    {f(pair, word, word, word, word, word, word), ""},
		"variadic":                 {f(word, pointer, void), "variable number"},
		"a flag and an enum":       {f(void, &btf.Int{Name: "bool", Size: 1}, &btf.Enum{Name: "e", Size: 4}), ""},
		"of no size that is known": {f(void, &btf.Fwd{Name: "s"}), "no known size"},
	} {
		if why := onStack(c.f); c.want == "" {
			require.Empty(t, why, name)
		} else {
			require.Contains(t, why, c.want, name)
		}
	}
}

// TestStubsUnwind holds that what the kernel is told of a stub's frame is
// right at each of its instructions: by the instructions that move the stack.
func TestStubsUnwind(t *testing.T) {
	for _, text := range []string{countStub, timeStub} {
		k := &Kernel{Image: Image{ORC: true, ORCWords: &ORCWords{Plain: 1, Saved: 2, Framed: 3}}}
		a := &assembly{kernel: k, sections: map[string]bool{}, section: ".text"}
		depth, framed := 8, false
		enter := 0 // depth at the call
		for line := range strings.Lines(text) {
			a.line(line)
			fields := strings.Fields(line)
			if strings.HasPrefix(line, "LABEL_enter:") {
				depth, framed = enter, true
			}
			if len(fields) == 0 || strings.HasPrefix(fields[0], ".") || strings.HasSuffix(fields[0], ":") {
				continue
			}
			// a.last is what was said of the place before this instruction.
			require.True(t, a.last.known, line)
			if framed {
				require.Equal(t, dwarfRBP, a.last.register, line)
				require.Equal(t, 16, a.last.offset, line)
			} else {
				require.Equal(t, dwarfRSP, a.last.register, line)
				require.Equal(t, depth, a.last.offset, line)
			}
			switch {
			case strings.HasPrefix(fields[0], "push"):
				depth += 8
			case strings.HasPrefix(fields[0], "pop"):
				depth -= 8
				framed = framed && fields[1] != "%rbp"
			case fields[0] == "call":
				enter = depth + 8
			case fields[0] == "movq" && strings.Contains(line, "%rsp, %rbp"):
				framed = true
			}
		}
		require.Empty(t, a.unreliable)
	}
}

// TestInstrumentSource holds that each function of a module has its own place
// in tables and counters, and objects their own tables.
func TestInstrumentSource(t *testing.T) {
	text := Time.source([]Instrumented{
		{Object: "vmlinux", Name: "a", Body: 5}, {Object: "vmlinux", Name: "b.isra.0", Sympos: 2, Body: 9}, {Object: "fat", Name: "c", Body: 5},
	})
	for _, wants := range []string{
		`.old_name = "b.isra.0", .new_func = switchyard_time_1_b_isra_0, .old_sympos = 2`,
		"switchyard_body[1] = (unsigned long)functions_0[1].old_func + 9;",
		"switchyard_body[2] = (unsigned long)functions_2[0].old_func + 5;",
		`{ .name = "fat", .funcs = functions_2, .callbacks.pre_patch = find_2 }`,
		"{ .funcs = functions_0, .callbacks.pre_patch = find_0 }",
		"switchyard_longest+16(%rip)",
	} {
		require.Contains(t, text, wants)
	}
	for _, label := range regexp.MustCompile(`"(\.Lswitchyard\w+):`).FindAllStringSubmatch(text, -1) {
		require.Equal(t, 1, strings.Count(text, `"`+label[1]+`:`), label[1])
	}
}
