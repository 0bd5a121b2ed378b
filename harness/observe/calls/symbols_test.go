// SPDX-License-Identifier: Apache-2.0

package calls

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/observe"
)

const kallsyms = `ffffffff81000000 T _text
ffffffff81000040 t helper
ffffffff81000100 T first
ffffffff81000100 T first_alias
ffffffff81000200 d some_data
ffffffff81000200 t helper
ffffffff81000300 W weak
ffffffff81000400 T last
ffffffffc0000000 t in_a_module	[m]
`

func testImage(t testing.TB, can string) *image {
	t.Helper()
	im, err := readImage(strings.NewReader(kallsyms))
	require.NoError(t, err)
	require.NoError(t, im.number(strings.NewReader(can)))
	return im
}

// TestImage: functions are found by their addresses and by name and position,
// as livepatch counts them.
func TestImage(t *testing.T) {
	im := testImage(t, "")
	for address, want := range map[uint64]string{
		0xffffffff81000000: "_text", 0xffffffff8100003f: "_text", 0xffffffff81000044: "helper",
		0xffffffff81000104: "first", 0xffffffff81000204: "helper", 0xffffffff81000404: "last",
		0xffffffff80ffffff: "", 0xffffffffc0000004: "",
	} {
		i, ok := im.find(address)
		require.Equal(t, want != "", ok, "%#x", address)
		if ok {
			require.Equal(t, want, string(im.bytes(i)), "%#x", address)
		}
	}
	for _, c := range []struct {
		name   string
		sympos uint64
		want   uint64
		wrong  string
	}{
		{name: "first", want: 0xffffffff81000100},
		{name: "first", sympos: 1, want: 0xffffffff81000100},
		{name: "helper", sympos: 1, want: 0xffffffff81000040},
		{name: "helper", sympos: 2, want: 0xffffffff81000200},
		{name: "helper", wrong: "2 functions helper"},
		{name: "helper", sympos: 3, wrong: "position 3 is none"},
		{name: "some_data", wrong: "no function some_data"},
		{name: "in_a_module", wrong: "no function"},
	} {
		i, err := im.lookup(c.name, c.sympos)
		if c.wrong != "" {
			require.ErrorContains(t, err, c.wrong)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, c.want, im.addresses[i])
	}
}

// TestNumbers: the numbers are those of the lines, whatever lies between.
func TestNumbers(t *testing.T) {
	numbers := func(im *image) map[string]int32 {
		all := map[string]int32{}
		for i, n := range im.indices {
			if n > 0 {
				all[string(im.bytes(i))+"@"+string("0123456789abcdef"[im.addresses[i]>>8&15])] = n
			}
		}
		return all
	}
	// 6.0 and later name dead sites, before they have their neighbour's name.
	require.Equal(t, map[string]int32{"helper@0": 1, "first@1": 3, "helper@2": 4, "last@4": 5},
		numbers(testImage(t, "helper\n__ftrace_invalid_address___64\nfirst\nhelper\nlast\nhelper [m]\nfirst [m]\n")))
	require.Equal(t, map[string]int32{"first@1": 1, "helper@2": 3, "last@4": 4},
		numbers(testImage(t, "first\nfirst\nhelper\nlast\n")))
	require.Equal(t, map[string]int32{"helper@0": 2}, numbers(testImage(t, "unknown\nhelper\n")))
}

// TestNoSymbols: a kernel that hides its addresses is of no use.
func TestNoSymbols(t *testing.T) {
	for _, text := range []string{"", "0000000000000000 T _text\n", "no symbols\n"} {
		_, err := readImage(strings.NewReader(text))
		require.Error(t, err, "%q", text)
	}
}

// TestUnsorted: the order of the list does not matter, but among one address's
// names.
func TestUnsorted(t *testing.T) {
	lines := strings.SplitAfter(kallsyms, "\n")
	lines[0], lines[6] = lines[6], lines[0]
	im, err := readImage(strings.NewReader(strings.Join(lines, "")))
	require.NoError(t, err)
	require.Equal(t, testImage(t, ""), im)
}

// TestModuleOfItself: this test's own binary is an ELF file with functions, as
// a module is; what is none is an error.
func TestModuleOfItself(t *testing.T) {
	self, err := os.Open("/proc/self/exe")
	require.NoError(t, err)
	defer self.Close()
	if m, err := readModule("self", self); err == nil { // go test strips it as it likes
		require.NotEmpty(t, m.functions)
		require.False(t, m.place(t.TempDir()), "it is loaded nowhere")
	}
	_, err = readModule("none", bytes.NewReader([]byte("\x7fELF")))
	require.Error(t, err)
}

// TestModulePlaces: a module's functions are where its sections are.
func TestModulePlaces(t *testing.T) {
	sys := t.TempDir()
	require.NoError(t, os.MkdirAll(sys+"/module/m/sections", 0o755))
	m := &module{name: "m", functions: []moduleFunction{
		{name: "b", section: ".text", offset: 0x40, size: 0x20}, {name: "a", section: ".text", offset: 0x10, size: 0x20},
		{name: "gone", section: ".init.text", offset: 0, size: 0x20}, {name: "b", section: ".text.unlikely", offset: 0, size: 8},
	}}
	require.False(t, m.place(sys))
	for section, at := range map[string]string{".text": "0xffffffffc0001000\n", ".text.unlikely": "0xffffffffc0000000\n"} {
		require.NoError(t, os.WriteFile(sys+"/module/m/sections/"+section, []byte(at), 0o600))
	}
	require.True(t, m.place(sys))
	for address, want := range map[uint64]string{
		0xffffffffc0001014: "a", 0xffffffffc0001044: "b", 0xffffffffc0000004: "b", 0xffffffffc0001060: "", 0xffffffffc0001000: "", 0xffffffffc0000008: "",
	} {
		f := m.find(address)
		require.Equal(t, want != "", f != nil, "%#x", address)
		if f != nil {
			require.Equal(t, want, f.name)
		}
	}
	require.Nil(t, m.lookup("b", 0), "there are two")
	require.Equal(t, uint64(0xffffffffc0001040), m.lookup("b", 1).address, "in the order of the symbol table")
	require.Equal(t, uint64(0xffffffffc0000000), m.lookup("b", 2).address)
	require.Equal(t, "a", m.lookup("a", 0).name)

	s := symbols{sys: sys, image: testImage(t, ""), files: map[string]moduleFile{"m": {}}, modules: map[string]*module{"m": m}}
	_, name := s.find(0xffffffffc0001044)
	require.Equal(t, "b [m]", name)
	_, name = s.find(0xffffffff81000104)
	require.Equal(t, "first", name)
	require.NoError(t, os.WriteFile(sys+"/module/m/coresize", []byte("8192\n"), 0o600))
	start, name := s.find(0xffffffffc0001800)
	require.Zero(t, start)
	require.Equal(t, "[m]", name, "of its text, whatever it is")
	require.NoError(t, os.Remove(sys+"/module/m/coresize"))
	_, name = s.find(0xffffffffc0001800)
	require.Equal(t, "[m]", name, "it is remembered")
	require.False(t, s.hooked(0xffffffffc0001800))
	require.False(t, s.hooked(0xffffffff81000104))
	require.True(t, s.hooked(0xffffffffc0101800), "nobody's code: a trampoline made at run time")
	s.changed()
	_, name = s.find(0xffffffffc0001800)
	require.Empty(t, name, "until a module comes or goes")
	rethook, err := readImage(strings.NewReader("ffffffff81000000 T arch_rethook_trampoline\nffffffff81000100 T other\n"))
	require.NoError(t, err)
	s.image = rethook
	require.True(t, s.hooked(0xffffffff81000000))
	require.False(t, s.hooked(0xffffffff81000100))
}

// TestParseTask: what a task is follows from its flags, and its name may hold
// anything.
func TestParseTask(t *testing.T) {
	for line, want := range map[string]taskKind{
		"11 (kworker/0:1) I 2 0 0 0 -1 69238880 0":  {observe.InKWorker, "kworker/0:1"},
		"12 (kworker/0:1) S 1 1 1 0 -1 4194304 0":   {observe.InSystemCall, "kworker/0:1"}, // so it calls itself
		"110 (contexts) S 2 0 0 0 -1 2129984 0 0":   {observe.InKThread, "contexts"},
		"99 (a) R 2 (b) S 1 99 99 0 -1 4194304 0 0": {observe.InSystemCall, "a) R 2 (b"},
		"99 (guestd) S 1 99 99 0 -1 4194560 0 0":    {observe.InSystemCall, "guestd"},
		"99 (cut":                                   {observe.InSystemCall, ""},
		"":                                          {observe.InSystemCall, ""},
		"99 (\xff) S 1 99 99 0 -1 4194560 0 0":      {observe.InSystemCall, "\ufffd"},
	} {
		require.Equal(t, want, parseTask([]byte(line)), "%q", line)
	}
}

// TestTooMuch: a function is given up for the cost of many records, not for
// that of a few on a slow host.
func TestTooMuch(t *testing.T) {
	const second = 1e9
	for _, c := range []struct {
		spent spending
		want  bool
	}{
		{spending{cpu: second / 5, records: 20000}, true},
		{spending{cpu: second / 5, records: 200}, false},
		{spending{cpu: second / 50, records: 200000}, false},
		{spending{}, false},
	} {
		require.Equal(t, c.want, c.spent.tooMuch(second), "%+v", c.spent)
	}
}

// TestCounts: calls are told by epoch, each event of one, and the busiest
// function is known after.
func TestCounts(t *testing.T) {
	givenUp := -1
	c := newCounts(0, func(function int) bool { return function != givenUp })
	one := func(t int64, f int, version string) call {
		return call{record: record{t: t}, function: f, version: version, context: observe.InKThread}
	}
	require.True(t, c.add(one(1, 0, ""), 1))
	c.cut(10, true)
	c.cut(20, false)
	for i := int64(0); i < 10; i++ {
		require.Equal(t, i < mostShown, c.add(one(21+i, 1, "p"), 1))
	}
	c.add(one(5, 0, ""), 1) // late to come, and before the cuts
	c.add(one(15, 0, "p"), 2)
	events := c.tell(100, func(k countKey) observe.CallCount {
		return observe.CallCount{Name: string('f' + rune(k.function)), Version: k.version}
	})
	require.Len(t, events, 3)
	for i, want := range []observe.Calls{
		{From: 0, Counts: []observe.CallCount{{Name: "f", N: 2, First: 1, Last: 5}}},
		{From: 10, Moving: true, Counts: []observe.CallCount{{Name: "f", Version: "p", N: 1, First: 15, Last: 15}}},
		{From: 20, Counts: []observe.CallCount{{Name: "g", Version: "p", N: 10, First: 21, Last: 30}}},
	} {
		require.Equal(t, want, *events[i].Calls)
	}
	require.Equal(t, 1, c.last)
	require.Empty(t, c.tell(101, nil))

	givenUp = 1
	c.add(one(102, 1, "p"), 1)
	c.add(one(103, 1, "p"), 1)
	c.add(one(104, 0, "p"), 1)
	require.Equal(t, 0, c.busiest(), "one that was given up is not the busiest")
}

// TestManyCounts: however many callers there are, what is kept and told at once
// is bounded, and no call is left out.
func TestManyCounts(t *testing.T) {
	c := newCounts(0, func(int) bool { return true })
	const n = mostCounts + 1000
	for i := range uint64(n) {
		c.add(call{record: record{t: int64(i)}}, i+1)
	}
	require.LessOrEqual(t, len(c.all), mostCounts+1)
	total := uint64(0)
	for _, e := range c.tell(n, func(countKey) observe.CallCount { return observe.CallCount{} }) {
		require.LessOrEqual(t, len(e.Calls.Counts), mostInEvent)
		for _, one := range e.Calls.Counts {
			total += one.N
		}
	}
	require.EqualValues(t, n, total)
}

// TestShortKernelThread: one that is gone when somebody asks is still known for
// what it was, and its id may become another's.
func TestShortKernelThread(t *testing.T) {
	k := tasks{proc: t.TempDir(), known: map[int]taskKind{}}
	require.Equal(t, observe.InSystemCall, k.of(7).context, "nothing is known of it")
	k.born(7)
	require.Equal(t, observe.InKThread, k.of(7).context)
	require.NoError(t, os.MkdirAll(k.proc+"/8", 0o755))
	require.NoError(t, os.WriteFile(k.proc+"/8/stat", []byte("8 (sh) S 1 8 8 0 -1 4194560 0 0"), 0o600))
	k.born(8)
	require.Equal(t, observe.InSystemCall, k.of(8).context, "it is there, and says what it is")
}

// TestNewTask: only what the kernel makes for itself is a kernel thread.
func TestNewTask(t *testing.T) {
	made, err := parseFormat("ID: 127\n\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\tfield:pid_t pid;\toffset:8;\tsize:4;\tsigned:1;\n\tfield:unsigned long clone_flags;\toffset:32;\tsize:8;\tsigned:0;\n", "pid", "clone_flags")
	require.NoError(t, err)
	d := testDecoder(t, kernels(t)[0])
	d.newTask = made
	raw := make([]byte, 48)
	raw[0], raw[8], raw[34] = 127, 42, 0x80
	r, ok := d.record(5, 1, raw)
	require.True(t, ok)
	require.Equal(t, record{t: 5, cpu: 1, kind: born, pid: 42}, r)
	raw[34] = 0
	_, ok = d.record(5, 1, raw)
	require.False(t, ok)
}
