// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every row of the table says how a guest shows it, or why none can; and there
// is no probe without a row.
func TestEveryFactHasAProbe(t *testing.T) {
	for _, c := range Capabilities() {
		p, ok := probes[c]
		assert.True(t, ok, "%s has no probe", c)
		assert.NotEqual(t, p.look == nil, p.cannot == "", "%s must have a look or a reason why it cannot", c)
	}
	for c := range probes {
		assert.Contains(t, Capabilities(), c, "a probe of nothing")
	}
}

const base = 0x1000

// fakeText is code made of functions; each is a symbol at its place.
type fakeText struct {
	text    []byte
	symbols []string
}

// function puts code there under a name, "" for the rest of the one before.
func (f *fakeText) function(name string, code ...byte) uint64 {
	for len(f.text)%16 != 0 {
		f.text = append(f.text, 0xcc)
	}
	addr := uint64(base + len(f.text))
	f.symbols = append(f.symbols, name)
	f.text = append(f.text, code...)
	return addr
}

// call is an instruction at the end of the text so far, plus before.
func (f *fakeText) call(op byte, to uint64, name string, before ...byte) {
	for len(f.text)%16 != 0 {
		f.text = append(f.text, 0xcc)
	}
	at := uint64(base + len(f.text) + len(before))
	code := append(slices.Clone(before), op)
	f.function(name, binary.LittleEndian.AppendUint32(code, uint32(to-at-5))...)
}

// evidence runs the text at another address than it was linked to.
func (f *fakeText) evidence(t *testing.T) *Evidence {
	t.Helper()
	const slide = 0x7000
	lines := []string{"0000000000008000 T _text"}
	at := 0
	for i, name := range f.symbols {
		if i > 0 {
			at += 16
		}
		lines = append(lines, hexLine(base+uint64(at)+slide, name))
	}
	lines = append(lines, "0000000000009999 t module_function\t[other]")
	symbols, err := ReadSymbols(strings.NewReader(strings.Join(lines, "\n") + "\n"))
	require.NoError(t, err)
	return &Evidence{
		Image: &Image{text: f.text, textAddr: base}, Symbols: symbols, Kit: &Kit{},
		Read: func(string) (string, error) { return "", fs.ErrNotExist },
		List: func(string) ([]string, error) { return nil, fs.ErrNotExist },
	}
}

func hexLine(addr uint64, name string) string {
	const digits = "0123456789abcdef"
	b := make([]byte, 16)
	for i := range b {
		b[15-i] = digits[addr>>(4*i)&15]
	}
	return string(b) + " t " + name
}

// TestSwitchPoints tells the switch in cond_resched() from that in
// __schedule() by who calls what switches a task.
func TestSwitchPoints(t *testing.T) {
	for _, c := range []struct {
		callers             []string
		resched, inSchedule bool
	}{
		{nil, false, false},
		{[]string{"klp_cond_resched"}, true, false},
		{[]string{"__schedule.cold"}, false, true},
		{[]string{"__schedule", "__schedule"}, false, true},
		{[]string{"dynamic_cond_resched", "mutex_lock"}, true, false},
	} {
		var f fakeText
		to := f.function(trySwitch, 0xc3)
		for _, name := range c.callers {
			f.call(0xe8, to, name, 0x90)
		}
		e := f.evidence(t)
		has, what, err := probes[CondReschedSwitching].look(e)
		require.NoError(t, err)
		assert.Equal(t, c.resched, has, "%v: %s", c.callers, what)
		has, what, err = probes[ScheduleSwitching].look(e)
		require.NoError(t, err)
		assert.Equal(t, c.inSchedule, has, "%v: %s", c.callers, what)
	}
}

func TestFunctionStarts(t *testing.T) {
	for _, c := range []struct {
		name       string
		before     []byte
		after      []byte
		ibt, frame bool
	}{
		{"neither", nil, []byte{0x48, 0x89, 0xf8, 0xc3}, false, false},
		{"endbr64", endbr, []byte{0x48, 0x89, 0xf8, 0xc3}, true, false},
		{"frame", nil, pushFrame, false, true},
		{"both", endbr, pushFrame, true, true},
	} {
		var f fakeText
		fentry := f.function("__fentry__", 0xc3)
		f.call(0xe8, fentry, "cmdline_proc_show", c.before...)
		f.text = append(f.text, c.after...)
		e := f.evidence(t)
		has, what, err := probes[IBT].look(e)
		require.NoError(t, err)
		assert.Equal(t, c.ibt, has, "%s: %s", c.name, what)
		has, what, err = probes[FramePointer].look(e)
		require.NoError(t, err)
		assert.Equal(t, c.frame, has, "%s: %s", c.name, what)
	}
	empty := (&fakeText{}).evidence(t)
	for _, c := range []Capability{IBT, FramePointer} {
		_, _, err := probes[c].look(empty)
		var hidden *Hidden
		assert.ErrorAs(t, err, &hidden, c)
	}
}

func TestPreemptionModels(t *testing.T) {
	for _, c := range []struct {
		name  string
		files map[string]string
		lock  bool   // mutex_lock() calls cond_resched()
		want  string // of none, voluntary, full, lazy: + has, - has not, ? hidden
	}{
		{"dynamic", map[string]string{"/sys/kernel/debug/sched/preempt": "none (voluntary) full \n"}, false, "-+--"},
		{"dynamic, lazy", map[string]string{"/sys/kernel/debug/sched/preempt": "full (lazy)\n"}, false, "---+"},
		{"voluntary", map[string]string{"/proc/version": "Linux version 5.10 SMP Debian"}, true, "-+--"},
		{"none", map[string]string{"/proc/version": "Linux version 6.6.3 SMP"}, false, "+---"},
		{"full or lazy", map[string]string{"/proc/version": "Linux version 6.6.3 SMP PREEMPT"}, false, "--??"},
	} {
		var f fakeText
		resched := f.function("__cond_resched", 0xc3)
		if c.lock {
			f.call(0xe8, resched, "mutex_lock")
		}
		e := f.evidence(t)
		e.Read = func(path string) (string, error) {
			if text, ok := c.files[path]; ok {
				return text, nil
			}
			return "", fs.ErrNotExist
		}
		got := ""
		for _, capability := range []Capability{PreemptNone, PreemptVoluntary, PreemptFull, PreemptLazy} {
			has, _, err := probes[capability].look(e)
			var hidden *Hidden
			switch {
			case errors.As(err, &hidden):
				got += "?"
			case err != nil:
				t.Fatal(err)
			case has:
				got += "+"
			default:
				got += "-"
			}
		}
		assert.Equal(t, c.want, got, c.name)
	}
}

// TestExamineNamesWhatDiffers: a claim that the kernel contradicts is told
// with row, source, claim and what was seen.
func TestExamineNamesWhatDiffers(t *testing.T) {
	e := (&fakeText{}).evidence(t)
	e.Kit = configured(t, "6.12.118-1", "CONFIG_LIVEPATCH=y\n")
	e.PatchFiles = []string{"enabled", "force", "stack_order", "transition", "vmlinux/patched"}
	e.Read = func(path string) (string, error) { return "(none)", nil }
	found, err := e.Examine()
	require.NoError(t, err)
	require.Len(t, found, len(Capabilities()))
	differ := map[Capability]string{}
	for _, f := range found {
		if f.Differs() {
			differ[f.Capability] = f.String()
		}
	}
	assert.Contains(t, differ[SysfsReplace], "PATCH/replace): the table says that this kernel has it (kernel: Documentation/ABI/testing/sysfs-kernel-livepatch, KernelVersion 6.11.0), and it has it not: the applied patch's folder in sysfs has enabled, force, stack_order")
	assert.Contains(t, differ[SysfsStackOrder], "says that this kernel has it not")
	assert.NotContains(t, differ, SysfsForce)
	assert.Contains(t, differ, CondReschedSwitching)
	assert.Contains(t, differ, Kprobes, "there without CONFIG_KPROBES")
	for _, f := range found {
		if f.Capability == AtomicReplace {
			assert.Contains(t, f.String(), "not looked at: the image has no BTF")
		}
	}

	e.Kit = &Kit{Version: "6.12.118-1"}
	found, err = e.Examine()
	require.NoError(t, err)
	for _, f := range found {
		assert.False(t, f.Differs(), "%s: without a config the table claims nothing", f)
	}

	e.Read = func(path string) (string, error) { return "", fs.ErrPermission }
	e.Kit = configured(t, "6.12.118-1", "")
	_, err = e.Examine()
	require.ErrorIs(t, err, fs.ErrPermission, "a file that every kernel has")
}

func TestReadSymbols(t *testing.T) {
	for text, want := range map[string]string{
		"":                                 "no addresses",
		"0000000000000000 T _text\n":       "no addresses",
		"_text\n":                          "cannot read the line",
		"zz T _text\n":                     "invalid syntax",
		"00000000000000ff t f\t[module]\n": "no addresses",
	} {
		_, err := ReadSymbols(strings.NewReader(text))
		require.ErrorContains(t, err, want, "%q", text)
	}
	s, err := ReadSymbols(strings.NewReader("0000000000000020 D data\n0000000000000010 T f.cold\n0000000000000030 W g\n"))
	require.NoError(t, err)
	for addr, want := range map[uint64]string{0xf: "", 0x10: "f", 0x25: "f", 0x30: "g", 0x1000: "g"} {
		assert.Equal(t, want, s.function(addr), "%#x", addr)
	}
}
