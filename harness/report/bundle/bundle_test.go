// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/report"
)

// zeros is a SHA-256 that is none of any file here.
const zeros = "0000000000000000000000000000000000000000000000000000000000000000"

// sample is a bundle with something of everything in it.
func sample(t *testing.T) *Content {
	t.Helper()
	dir := t.TempDir()
	level := 1
	calls, interruption := true, false
	c := &Content{Manifest: Manifest{
		Made:    Made{Switchyard: "v1", Go: "go1", QEMU: "7.2"},
		Kernel:  Kernel{Release: "6.1.0-1-cloud-amd64", Version: "6.1.1-1", Source: "debian:bookworm", Provider: "debian", Selector: "6.1.0-1-cloud-amd64", Image: Sum{"vmlinux", zeros}, Needed: []Sum{{"virtio.ko", zeros}}, Full: true},
		Image:   Image{SHA256: zeros, Agent: zeros, Files: []Sum{{"a", zeros}}},
		Machine: Machine{Accel: "tcg", VCPUs: 2, MemMiB: 512, QEMU: "7.2 (host)", Start: "fork", Append: []string{"quiet"}},
		Patches: []Module{{
			Name: "fix", File: "modules/00-fix.ko", SHA256: zeros, Route: "diff", Functions: []Function{{"vmlinux", "f", 1}},
			Probes: []patch.Probe{{Read: "/proc/cmdline", Before: "a", After: "b"}}, Cut: []Function{{"vmlinux", "g", 0}},
			Source: &Source{Kind: "diff", Open: "sources/00/fix.patch", Reverse: true, Level: &level},
		}},
		With:         []Module{{Name: "target", File: "modules/with-00-target.ko", Own: true}},
		Timer:        &Module{Name: "pulse", File: "modules/timer-pulse.ko", SHA256: zeros},
		Loads:        []load.Spec{{Name: "fork", N: 2}, {Name: "proc-readers", Path: "/proc/cmdline", Accept: []string{".*"}}},
		StallAfterNS: int64(3 * time.Second), Futures: []string{"wait"}, Calls: &calls, Interruption: &interruption, Deterministic: &Deterministic{Seed: 3}, Expected: "complete",
		Answer:  Answer{Verdict: "stalled", Blockers: []Blocker{{Kind: "kthread", Reason: "asleep on patched", Function: "f"}}},
		Command: "switchyard run fix.patch",
		Files:   nil,
	}}
	for name, content := range map[string]string{
		"modules/00-fix.ko": "\x7fELF fix", "modules/with-00-target.ko": "\x7fELF target", "modules/timer-pulse.ko": "\x7fELF pulse", "sources/00/fix.patch": "--- a\n+++ b\n",
		"logs/serial.log": "Linux version 6.1\n", "logs/empty.log": "", "kernel/vmlinux": "\x7fELF vmlinux", "kernel/lib/modules/6.1.0-1-cloud-amd64/kernel/virtio.ko": "x",
	} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(content), 0o644))
		require.NoError(t, c.Add(name, path))
	}
	return c
}

func write(t *testing.T, c *Content) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, c.Write(&out))
	return out.Bytes()
}

// TestRoundTrip: what was put in comes out, file by file and field by field.
func TestRoundTrip(t *testing.T) {
	c := sample(t)
	path := filepath.Join(t.TempDir(), FileName)
	require.NoError(t, c.Save(path))
	o, err := Open(path, t.TempDir(), DefaultLimits)
	require.NoError(t, err)
	require.Equal(t, c.Manifest, o.Manifest)
	require.Len(t, o.Files, 8)
	for name, at := range c.entries {
		want, err := os.ReadFile(at)
		require.NoError(t, err)
		got, err := os.ReadFile(o.File(name))
		require.NoError(t, err)
		require.Equal(t, want, got, name)
	}
}

// TestSameBytes: the same files give the same bundle, whatever their times and
// modes are here, and in whatever order they came.
func TestSameBytes(t *testing.T) {
	first, second := sample(t), sample(t)
	for i, at := range second.entries {
		require.NoError(t, os.Chtimes(at, time.Unix(int64(len(i)), 0), time.Unix(int64(len(i)), 0)))
		require.NoError(t, os.Chmod(at, 0o600))
	}
	require.Equal(t, write(t, first), write(t, second))
	other := sample(t)
	require.NoError(t, os.WriteFile(other.entries["logs/serial.log"], []byte("Linux version 6.2\n"), 0o644))
	require.NotEqual(t, write(t, first), write(t, other))
}

// TestDescriptionIsValid: bundle.json holds to its schema, a full one and the
// least one.
func TestDescriptionIsValid(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("../../../docs/bundle.schema.json")
	require.NoError(t, err)
	least := &Content{Manifest: Manifest{Kernel: Kernel{Release: "6.1.1"}, Expected: "complete", Case: &Case{Name: "TestX", Again: "go test"}}}
	for _, c := range []*Content{sample(t), least} {
		path := filepath.Join(t.TempDir(), FileName)
		require.NoError(t, c.Save(path))
		o, err := Open(path, t.TempDir(), DefaultLimits)
		require.NoError(t, err)
		text, err := os.ReadFile(o.File(ManifestFile))
		require.NoError(t, err)
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
		require.NoError(t, err)
		require.NoError(t, schema.Validate(value))
		// Both are false for "not", and absent for "it is not known".
		fields := value.(map[string]any)
		for name, given := range map[string]*bool{"calls": c.Calls, "interruption": c.Interruption} {
			got, there := fields[name]
			require.Equal(t, given != nil, there, name)
			if there {
				require.Equal(t, *given, got, name)
				fields[name] = "yes"
				require.Error(t, schema.Validate(value), "the schema does not know %s", name)
				fields[name] = got
			}
		}
	}
	bad, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(`{"schema":"switchyard.bundle/1"}`)))
	require.NoError(t, err)
	require.Error(t, schema.Validate(bad))
}

// TestAnswer: what must come again, and what need not.
func TestAnswer(t *testing.T) {
	of := func(verdict string, blockers ...report.Blocker) Answer {
		return AnswerOf(report.Run{Verdict: verdict, Blockers: blockers, Patch: report.Patch{Functions: []report.Function{{Name: "f"}}}})
	}
	block := func(kind, reason, function string) report.Blocker {
		return report.Blocker{Kind: kind, Reason: reason, Function: function}
	}
	asleep := block(observe.KThread, observe.Asleep, "f+0x10/0x20 [fix]")
	waiting := block(observe.UserTask, observe.Waiting, "do_wait+0x1/0x2")
	running := block(observe.UserTask, observe.Running, "")
	for _, c := range []struct {
		what string
		a, b Answer
		same bool
	}{
		{"the same", of("stalled", asleep), of("stalled", asleep), true},
		{"another offset", of("stalled", asleep), of("stalled", block(observe.KThread, observe.Asleep, "f+0x99/0x120")), true},
		{"more of the same", of("stalled", asleep), of("stalled", asleep, asleep), true},
		{"a bystander more", of("stalled", asleep), of("stalled", waiting, asleep), true},
		{"a bystander less", of("stalled", asleep, running), of("stalled", asleep), true},
		{"bystanders alone", of("stalled", waiting), of("stalled", running), false},
		{"a bystander in the place of the culprit", of("stalled", asleep), of("stalled", waiting), false},
		{"another verdict", of("stalled", asleep), of("complete"), false},
		{"another function", of("stalled", asleep), of("stalled", block(observe.KThread, observe.Asleep, "g+0x10/0x20")), false},
		{"another reason", of("stalled", asleep), of("stalled", block(observe.KThread, observe.Unreliable, "f")), false},
		{"another kind", of("stalled", asleep), of("stalled", block(observe.UserTask, observe.Asleep, "f")), false},
		{"one culprit more", of("stalled", asleep), of("stalled", asleep, block(observe.KThread, observe.Asleep, "g")), false},
		{"runs in the patched function", of("stalled", block(observe.UserTask, observe.Running, "f")), of("stalled"), false},
	} {
		t.Run(c.what, func(t *testing.T) {
			require.Equal(t, c.same, c.a.Same(c.b), "%s / %s", c.a, c.b)
			require.Equal(t, c.same, c.b.Same(c.a), "%s / %s", c.b, c.a)
		})
	}
	crash := func(title string) Answer {
		return AnswerOf(report.Run{Verdict: "crashed", LogReports: []report.LogReport{{Kind: "oops", Title: title}}})
	}
	require.True(t, crash("BUG: unable to handle page fault for address: ffffffffc0401234").Same(crash("BUG: unable to handle page fault for address: ffffffffa1111000")))
	require.False(t, crash("BUG: unable to handle page fault for address: ffffffffc0401234").Same(crash("kernel BUG at fs/namei.c:12!")))
}
