// SPDX-License-Identifier: Apache-2.0

package runpre

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch/btf"
	"github.com/switchyard-project/switchyard/harness/patch/object"
	"github.com/switchyard-project/switchyard/harness/patch/refusal"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// small are the flags of the small kernels in these tests: what matters of the
// real one's.
const small = "-O2 -fno-pie -mcmodel=kernel -fno-asynchronous-unwind-tables -fcf-protection=branch -mno-red-zone -pg -mfentry -fno-optimize-sibling-calls"

// files are C sources by name.
type files map[string]string

// compile runs a script in a folder with sources, in the tool root, and reads
// the object x.o that it leaves.
func compile(t testing.TB, sources files, script string) []byte {
	t.Helper()
	if testing.Short() {
		t.Skip("compiles with the real tool root")
	}
	root, err := openRoot()
	require.NoError(t, err)
	dir := t.TempDir()
	for name, text := range sources {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
	var said bytes.Buffer
	err = root.Run(t.Context(), toolroot.Job{
		Argv: []string{"sh", "-e", "-c", script}, Dir: "/work", Stdout: &said, Stderr: &said,
		Mounts: []toolroot.Bind{{Host: dir, Inside: "/work", Writable: true}},
	})
	require.NoError(t, err, said.String())
	data, err := os.ReadFile(filepath.Join(dir, "x.o"))
	require.NoError(t, err)
	return data
}

func read(t testing.TB, name string, data []byte) *object.Object {
	t.Helper()
	o, err := object.Read(name, bytes.NewReader(data))
	require.NoError(t, err)
	return o
}

// kernelOf makes a kernel of sources: all in one, as a linker leaves them.
func kernelOf(t testing.TB, sources files, flags string) *Image {
	t.Helper()
	var script strings.Builder
	var objects []string
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		out := strings.TrimSuffix(name, ".c") + ".o"
		fmt.Fprintf(&script, "gcc-14 %s %s -c -o %s %s\n", small, flags, out, name)
		objects = append(objects, out)
	}
	fmt.Fprintf(&script, "ld -r -o x.o %s\n", strings.Join(objects, " "))
	return imageOf(t, compile(t, sources, script.String()))
}

// imageOf loads an object as a kernel's image that has a module of the name m.
func imageOf(t testing.TB, data []byte) *Image {
	t.Helper()
	im := &Image{vmlinux: newSpace(VMLinux, nil, nil), exports: map[string]btf.Export{}, modules: map[string]*space{}}
	s, err := im.load("m", data, nil)
	require.NoError(t, err)
	im.modules["m"] = s
	return im
}

// preOf compiles one file as a patch's before is.
func preOf(t testing.TB, source, flags string) *object.Object {
	t.Helper()
	return read(t, "pre", compile(t, files{"x.c": source}, "gcc-14 "+small+" "+flags+" -ffunction-sections -fdata-sections -c -o x.o x.c"))
}

const twice = `
int g(int);
static int count;
static __attribute__((noipa)) int helper(int x) { return g(x) + 1; }
static __attribute__((noipa)) int bump(int x) { count += x; return count; }
int %s(int x) { return helper(x) + bump(x) + %d; }
`

func TestMatch(t *testing.T) {
	for _, c := range []struct {
		name   string
		kernel files
		pre    string
		flags  string // of both
		want   map[string]string
	}{
		{name: "the same", kernel: files{"a.c": "int f(int x) { return x * 3; }"}, pre: "int f(int x) { return x * 3; }", want: map[string]string{"f": ""}},
		{name: "another constant", kernel: files{"a.c": "int f(int x) { return x * 77; }"}, pre: "int f(int x) { return x * 78; }", want: map[string]string{"f": "the kernel has 4d"}},
		{name: "missing", kernel: files{"a.c": "int g(int x) { return x; }"}, pre: "int f(int x) { return x; }", want: map[string]string{"f": "no function of that name"}},
		{
			name:   "another callee",
			kernel: files{"a.c": "int p(void); int q(void); int f(void) { return p() + 1; } int h(void) { return q() + 2; }"},
			pre:    "int p(void); int q(void); int f(void) { return q() + 1; } int h(void) { return q() + 2; }",
			// Neither p nor q is anywhere: where h calls q tells it.
			want: map[string]string{"f": "it refers to q at", "h": ""},
		},
		{
			name:   "another string",
			kernel: files{"a.c": `void p(const char *); void f(void) { p("one"); }`}, pre: `void p(const char *); void f(void) { p("two"); }`,
			want: map[string]string{"f": `it refers to the string "one", the source has "two"`},
		},
		{
			name:   "jumps to neighbours",
			flags:  "-foptimize-sibling-calls",
			kernel: files{"a.c": "int p(int); __attribute__((noipa)) static int n(int x) { return p(x) + 1; } int f(int x) { if (x > 3) return n(x); while (x) x -= p(x); return p(1); }"},
			pre:    "int p(int); __attribute__((noipa)) static int n(int x) { return p(x) + 1; } int f(int x) { if (x > 3) return n(x); while (x) x -= p(x); return p(1); }",
			want:   map[string]string{"n": "", "f": ""},
		},
		{
			name:   "a cold part and what it jumps back to",
			flags:  "-foptimize-sibling-calls",
			kernel: files{"a.c": "int p(int); __attribute__((cold)) int c(int); __attribute__((noipa)) static int n(int x) { return p(x) + 1; } int f(int x) { if (x == 5) return n(x); if (x > 3) x += c(x); return p(x) * 3; }"},
			pre:    "int p(int); __attribute__((cold)) int c(int); __attribute__((noipa)) static int n(int x) { return p(x) + 1; } int f(int x) { if (x == 5) return n(x); if (x > 3) x += c(x); return p(x) * 3; }",
			want:   map[string]string{"n": "", "f": "", "f.cold": ""},
		},
		{
			name:   "a weak one that is not used",
			kernel: files{"a.c": "__attribute__((weak)) int f(void) { return 1; } int h(void) { return f(); }", "b.c": "int f(void) { return 200; }"},
			pre:    "__attribute__((weak)) int f(void) { return 1; } int h(void) { return f(); }",
			want:   map[string]string{"f": "this one is weak", "h": ""},
		},
		{
			name:   "which of two cannot be told",
			kernel: files{"a.c": "__attribute__((used)) static int f(int x) { return x + 5; }", "b.c": "__attribute__((used)) static int f(int x) { return x + 5; }"},
			pre:    "__attribute__((used)) static int f(int x) { return x + 5; }",
			want:   map[string]string{"f": "2 functions of that name with the same code"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			report, err := Match(preOf(t, c.pre, c.flags), kernelOf(t, c.kernel, c.flags), "m")
			require.NoError(t, err)
			require.Len(t, report.Functions, len(c.want))
			for _, f := range report.Functions {
				why, ok := c.want[f.Name]
				require.True(t, ok, f.Name)
				require.Equal(t, why == "", f.OK, "%s: %s", f.Name, f.Why)
				require.Contains(t, f.Why, why)
				var refused *refusal.Refusal
				if err := f.Refusal("x.c", "1.2.3"); errors.As(err, &refused) {
					require.False(t, f.OK)
					require.Equal(t, f.Name, refused.Function)
					require.Equal(t, f.Ambiguous, refused.Code == refusal.Ambiguous)
					require.Contains(t, err.Error(), f.Why)
				} else {
					require.True(t, f.OK)
				}
			}
		})
	}
}

// TestDuplicates holds that of several functions and variables of one name
// each file's own is found, by what its other functions refer to.
func TestDuplicates(t *testing.T) {
	sources := files{"g.c": "int g(int x) { return x; }"}
	names := []string{"one", "two", "three"}
	for i, name := range names {
		sources[fmt.Sprintf("x%d.c", i)] = fmt.Sprintf(twice, name, 100+i)
	}
	im := kernelOf(t, sources, "")
	seen := map[uint64]bool{}
	for i, name := range names {
		pre := preOf(t, sources[fmt.Sprintf("x%d.c", i)], "")
		report, err := Match(pre, im, "m")
		require.NoError(t, err)
		for _, f := range report.Functions {
			require.True(t, f.OK, "%s: %s", f.Name, f.Why)
		}
		for s, p := range report.Symbols {
			switch s.Name {
			case "helper", "bump", "count":
				require.Equal(t, uint64(i+1), p.Sympos, s.Name)
				require.Equal(t, s.Name, p.Name)
				require.False(t, seen[p.Address])
				seen[p.Address] = true
			case name, "g":
				require.Zero(t, p.Sympos)
			}
		}
	}
	require.Len(t, seen, 9)
}

// TestBuiltKernel compares files of a kernel that was built here, whose
// symbol table tells which file each local symbol is of: the truth that the
// comparison has to find by code alone.
func TestBuiltKernel(t *testing.T) {
	kit := builtKit(t)
	im, err := OpenImage(kit)
	require.NoError(t, err)
	owners := localsByFile(t, filepath.Join(kit.BuildDir, "vmlinux"))
	for _, c := range []struct {
		source, object string
		other          []string // functions that the kernel takes from elsewhere
		least          int      // local symbols that must have been found
	}{
		{"fs/proc/cmdline.c", VMLinux, nil, 1},
		{"fs/namei.c", VMLinux, nil, 30},
		{"kernel/fork.c", VMLinux, []string{"arch_dup_task_struct"}, 60},
		{"net/core/dev.c", VMLinux, nil, 150},
		{"net/core/net-sysfs.c", VMLinux, nil, 150}, // many names that others have as well
		{"lib/vsprintf.c", VMLinux, nil, 40},
		{"fs/fat/dir.c", "fat", nil, 0},
		{"fs/fat/namei_vfat.c", "vfat", nil, 0},
		{"net/sched/sch_teql.c", "sch_teql", nil, 0},
	} {
		t.Run(path.Base(c.source), func(t *testing.T) {
			report, err := Match(compileUnit(t, kit, c.source, nil), im, c.object)
			require.NoError(t, err)
			for _, f := range report.Functions {
				require.Equal(t, !slices.Contains(c.other, f.Name), f.OK, "%s+%#x: %s", f.Name, f.Offset, f.Why)
			}
			locals, duplicates := 0, 0
			for s, p := range report.Symbols {
				if p.Object != VMLinux {
					continue
				}
				if p.Sympos > 0 {
					duplicates++
				}
				if p.Name == "" || s.Section == nil || s.Bind != elf.STB_LOCAL || s.Type == elf.STT_SECTION {
					continue
				}
				require.Contains(t, owners[local{p.Name, p.Address}], path.Base(c.source), "%s is taken for %s at %#x", s.Name, p.Name, p.Address)
				locals++
			}
			t.Logf("%d functions, %d symbols, %d local ones proved, %d of names that others have", len(report.Functions), len(report.Symbols), locals, duplicates)
			require.GreaterOrEqual(t, locals, c.least)
		})
	}
}

type local struct {
	name    string
	address uint64
}

// localsByFile are the names of the files that have each local symbol.
func localsByFile(t *testing.T, vmlinux string) map[local][]string {
	t.Helper()
	f, err := elf.Open(vmlinux)
	require.NoError(t, err)
	defer f.Close()
	symbols, err := f.Symbols()
	require.NoError(t, err)
	all := map[local][]string{}
	file := ""
	for _, s := range symbols {
		switch {
		case elf.ST_TYPE(s.Info) == elf.STT_FILE:
			file = s.Name
		case elf.ST_BIND(s.Info) == elf.STB_LOCAL && s.Name != "":
			all[local{s.Name, s.Value}] = append(all[local{s.Name, s.Value}], file)
		}
	}
	return all
}
