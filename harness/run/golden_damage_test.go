// SPDX-License-Identifier: Apache-2.0

package run

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/vm"
)

// TestDamagedGolden damages a snapshot in the cache, by halves so that the
// cache itself sees nothing: it is never forked, and thrown away; unless it is
// another user's, or could be, which is refused and left alone.
func TestDamagedGolden(t *testing.T) {
	cache := seededCache(t)
	y := testYard(t)
	cfg := guestConfig(t, y, "6.1")
	dir := entry(t, cache)
	pristine := t.TempDir()
	copyTree(t, dir, pristine)
	ram, state := filepath.Join(dir, "ram"), filepath.Join(dir, "state")
	machine, err := y.machine(t.Context(), cfg)
	require.NoError(t, err)

	for name, c := range map[string]struct {
		damage  func(t *testing.T)
		says    string
		foreign bool
	}{
		"state cut":     {damage: func(t *testing.T) { require.NoError(t, os.Truncate(state, 1000)) }, says: "state"},
		"state flipped": {damage: func(t *testing.T) { flip(t, state, 1000) }, says: "device state changed"},
		"state gone":    {damage: func(t *testing.T) { require.NoError(t, os.Remove(state)) }, says: "no such file"},
		"memory cut": {damage: func(t *testing.T) {
			keepTimes(t, ram, func(f *os.File) { require.NoError(t, f.Truncate(256<<20)) })
		}, says: "memory has"},
		"memory flipped": {damage: func(t *testing.T) { flip(t, ram, sampled(t, dir)+77) }, says: "memory changed"},
		"not about it":   {damage: func(t *testing.T) { require.NoError(t, os.Remove(filepath.Join(dir, "snapshot.json"))) }, says: "snapshot.json"},
		"without a past": {damage: func(t *testing.T) { require.NoError(t, os.Remove(filepath.Join(dir, pastFile))) }, says: pastFile},
		"another user's": {damage: func(t *testing.T) {
			if os.Geteuid() != 0 {
				t.Skip("only root can give a file away")
			}
			require.NoError(t, os.Chown(state, 12345, -1))
		}, says: "made by user 12345", foreign: true},
		"its folder another user's": {damage: func(t *testing.T) {
			if os.Geteuid() != 0 {
				t.Skip("only root can give a file away")
			}
			require.NoError(t, os.Chown(dir, 12345, -1))
		}, says: "made by user 12345", foreign: true},
		"open to a group": {damage: func(t *testing.T) { require.NoError(t, os.Chmod(ram, 0o660)) }, says: "may be written by others", foreign: true},
	} {
		t.Run(name, func(t *testing.T) {
			require.NoError(t, os.RemoveAll(dir))
			copyTree(t, pristine, dir)
			next := testYard(t)
			_, err := next.golden(t.Context(), cfg, machine)
			require.NoError(t, err, "before the damage")

			c.damage(t)
			next = testYard(t)
			if c.foreign {
				_, err := next.Boot(t.Context(), cfg)
				var unfit *vm.SnapshotError
				require.ErrorAs(t, err, &unfit)
				require.True(t, unfit.Foreign)
				require.ErrorContains(t, err, c.says)
				require.DirExists(t, dir)
				return
			}
			_, err = next.golden(t.Context(), cfg, machine)
			var unfit *vm.SnapshotError
			require.ErrorAs(t, err, &unfit)
			require.ErrorContains(t, err, c.says)
			require.NoDirExists(t, dir)
		})
	}

	// A whole run: it is made again once, counted, and the verdict is right.
	require.NoError(t, os.RemoveAll(dir))
	copyTree(t, pristine, dir)
	flip(t, ram, sampled(t, dir))
	before := made(t, dir)
	defer syscall.Umask(syscall.Umask(0o002)) // a file made may be written by its group
	p := testPlan(t, y, "6.1", "cmdline", "")
	p.Dir, p.Guest.CPUs, p.Loads = t.TempDir(), 1, []load.Spec{}
	r, err := testYard(t).Run(t.Context(), p)
	require.NoError(t, err)
	require.Equal(t, "complete", r.Verdict, r.Reason)
	require.Equal(t, StartFork, r.Machine.Start)
	require.Len(t, r.Machine.SnapshotFailures, 1)
	require.Contains(t, r.Machine.SnapshotFailures[0], "memory changed")
	require.NotEqual(t, before, made(t, entry(t, cache)))
	_, err = testYard(t).golden(t.Context(), cfg, machine)
	require.NoError(t, err, "made with such a umask")
}

// TestAnotherQEMU: a snapshot of another build is not this machine's; it is
// not found, and not taken for damaged.
func TestAnotherQEMU(t *testing.T) {
	y := testYard(t)
	cfg := guestConfig(t, y, "6.1")
	machine, err := y.machine(t.Context(), cfg)
	require.NoError(t, err)
	name := goldenName("6.1", machine, "")
	require.Equal(t, name, goldenName("6.1", machine, ""))

	program := filepath.Join(t.TempDir(), "qemu-system-x86_64")
	require.NoError(t, os.WriteFile(program, []byte("one"), 0o755))
	machine.QEMU.Argv = []string{program}
	one := goldenName("6.1", machine, "")
	require.NoError(t, os.WriteFile(program, []byte("another build"), 0o755))
	two := goldenName("6.1", machine, "")
	machine.QEMU.Version += ".1"
	three := goldenName("6.1", machine, "")
	require.NotContains(t, []string{one, two, three}, name)
	require.NotEqual(t, one, two)
	require.NotEqual(t, two, three)
	require.NotEqual(t, two, goldenName("6.1", machine, "a layer"))
}

// TestDamagedMailboxGolden: a deterministic run makes a damaged snapshot
// again once, counts that, and has the verdict and the timeline it had before.
func TestDamagedMailboxGolden(t *testing.T) {
	seededCache(t)
	y := testYard(t)
	p := testPlan(t, y, "6.1", "cmdline", "")
	before, timeline := deterministic(t, y, p, 1)
	require.Equal(t, "complete", before.Verdict, before.Reason)
	require.Len(t, y.goldens, 1)
	for _, s := range y.goldens {
		flip(t, filepath.Join(s.Dir, "state"), 1000)
	}
	after, again := deterministic(t, testYard(t), p, 1)
	require.Equal(t, "complete", after.Verdict, after.Reason)
	require.Len(t, after.Machine.SnapshotFailures, 1)
	require.Contains(t, after.Machine.SnapshotFailures[0], "device state changed")
	require.Equal(t, timeline, again)
}
