// SPDX-License-Identifier: Apache-2.0

package toolroot

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/debian"
	"github.com/switchyard-project/switchyard/kernels/guard"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// realArchive is the real archive with the default cache, which the tests of
// other packages fill as well.
func realArchive(t *testing.T) (*store.Store, *debian.Archive) {
	t.Helper()
	if testing.Short() {
		t.Skip("uses the real archive")
	}
	st, err := store.Open("")
	require.NoError(t, err)
	ar, err := debian.NewArchive(st, nil)
	require.NoError(t, err)
	return st, ar
}

func unlessLacking(t *testing.T, err error) {
	t.Helper()
	if kernels.IsLacking(err) {
		t.Skip(err)
	}
	require.NoError(t, err)
}

func realRoot(t *testing.T) (*Root, *debian.Archive) {
	t.Helper()
	st, ar := realArchive(t)
	r, err := Open(t.Context(), st, ar)
	unlessLacking(t, err)
	return r, ar
}

func realKit(t *testing.T, ar *debian.Archive, selector string) *kernels.Kit {
	t.Helper()
	cat := &kernels.Catalogue{Providers: []kernels.Provider{debian.NewProvider(ar)}}
	found, err := cat.Select(t.Context(), selector)
	unlessLacking(t, err)
	kit, err := cat.Get(t.Context(), found[0])
	unlessLacking(t, err)
	return kit
}

// sh runs a script in the root and gives what it wrote.
func sh(ctx context.Context, r *Root, script string, j Job) (string, error) {
	var out bytes.Buffer
	j.Argv, j.Stdout, j.Stderr = []string{"sh", "-c", script}, &out, &out
	err := r.Run(ctx, j)
	return strings.TrimSpace(out.String()), err
}

func TestRun(t *testing.T) {
	r, _ := realRoot(t)
	checkRun(t, r)
}

// checkRun is what holds for whoever runs a job, in whatever way.
func checkRun(t *testing.T, r *Root) {
	in, out := t.TempDir(), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(in, "given"), []byte("given\n"), 0o644))
	both := []Bind{{Host: in, Inside: "/tmp/in"}, {Host: out, Inside: "/build", Writable: true}}
	for _, c := range []struct {
		script string
		job    Job
		want   string
		status int
	}{
		{"cat /tmp/in/given", Job{Mounts: both}, "given", 0},
		{"cat; pwd", Job{Stdin: strings.NewReader("typed\n"), Dir: "/usr/src"}, "typed\n/usr/src", 0},
		{"echo $A $HOME $SECRET", Job{Env: []string{"A=b"}}, "b /tmp", 0},
		{"exit 7", Job{}, "", 7},
		{"kill -9 $$; sleep 100 & kill -9 $!; wait $!", Job{}, "Killed", 137},
		{"touch /usr/x /x /etc/x 2>/dev/null || echo kept", Job{}, "kept", 0},
		{"touch /tmp/in/x 2>/dev/null || echo kept", Job{Mounts: both}, "kept", 0},
		{"touch /tmp/mine && ls /tmp", Job{}, "mine", 0},
		{"echo made > /build/made; cat /build/made", Job{Mounts: both}, "made", 0},
		{"test -e $OUTSIDE || echo hidden", Job{Env: []string{"OUTSIDE=" + in}}, "hidden", 0},
		{"awk 'NR > 2 { print $1 }' /proc/net/dev", Job{}, "lo:", 0}, // and that is down
		{"head -c4 /dev/zero | wc -c; head -c4 /dev/urandom | wc -c; echo x > /dev/null; ls /dev | wc -l", Job{}, "4\n4\n9", 0},
		{"echo a > /dev/stderr", Job{}, "a", 0},
		{"gcc-14 -dumpversion && make --version | head -1 && awk 'BEGIN{print 1+1}' && perl -e 'print 3' && python3 -c 'print(4)'", Job{}, "14\nGNU Make 4.4.1\n2\n34", 0},
	} {
		got, err := sh(t.Context(), r, c.script, c.job)
		if c.status == 0 {
			require.NoError(t, err, "%s: %s", c.script, got)
		} else {
			var exit *ExitError
			require.ErrorAs(t, err, &exit, c.script)
			assert.Equal(t, c.status, exit.Status, c.script)
		}
		if c.want != "" {
			assert.Equal(t, c.want, got, c.script)
		}
	}
	info, err := os.Stat(filepath.Join(out, "made"))
	require.NoError(t, err)
	assert.Equal(t, uint32(os.Getuid()), info.Sys().(*syscall.Stat_t).Uid, "what a job makes is the caller's")

	var exit *ExitError
	require.ErrorAs(t, r.Run(t.Context(), Job{Argv: []string{"no-such-program"}}), &exit)
	assert.Equal(t, 127, exit.Status)
	require.Error(t, r.Run(t.Context(), Job{}))
	require.ErrorContains(t, r.Run(t.Context(), Job{Argv: []string{"true"}, Mounts: []Bind{{Host: "relative", Inside: "/x"}}}), "absolute")
	err = r.Run(t.Context(), Job{Argv: []string{"true"}, Mounts: []Bind{{Host: "/no/such/folder", Inside: "/x"}}})
	require.ErrorContains(t, err, "/no/such/folder")
	assert.False(t, kernels.IsLacking(err), "the caller's mistake is no lack of the machine")
}

// When ctx ends, all that the job started is gone, also what left its group.
func TestRunIsKilled(t *testing.T) {
	r, _ := realRoot(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("enough")
	ready, w, err := os.Pipe()
	require.NoError(t, err)
	defer ready.Close()
	go func() {
		_, _ = ready.Read(make([]byte, 1))
		cancel(stop)
	}()
	const odd = "86417.25"
	err = r.Run(ctx, Job{Argv: []string{"sh", "-c", "setsid sleep " + odd + " & (sleep " + odd + " &) ; echo r; sleep " + odd}, Stdout: w})
	w.Close()
	require.ErrorIs(t, err, stop)
	assert.Empty(t, running(t, odd))
}

// running are the processes whose command line has word in it.
func running(t *testing.T, word string) (found []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(t, err)
	for _, f := range files {
		if text, err := os.ReadFile(f); err == nil && strings.Contains(string(text), word) {
			found = append(found, string(text))
		}
	}
	return found
}

// A module for each kernel of the main job really builds.
func TestModuleBuilds(t *testing.T) {
	r, ar := realRoot(t)
	for _, selector := range []string{"6.1", "6.12"} {
		t.Run(selector, func(t *testing.T) {
			kit := realKit(t, ar, selector)
			work := t.TempDir()
			require.NoError(t, os.CopyFS(work, os.DirFS("testdata/module")))
			j := Job{
				Argv:   []string{"make", "-C", kit.HeadersDir, "M=/build", "CC=gcc-14", "modules"},
				Mounts: []Bind{{Host: work, Inside: "/build", Writable: true}},
			}
			for _, m := range kit.Mounts {
				j.Mounts = append(j.Mounts, Bind{Host: m.Host, Inside: m.Inside})
			}
			var out bytes.Buffer
			j.Stdout, j.Stderr = &out, &out
			require.NoError(t, r.Run(t.Context(), j), "%s", &out)
			assert.NotContains(t, out.String(), "warning")
			assert.NotContains(t, out.String(), "not found")
			ko, err := kernels.ReadModule(filepath.Join(work, "sample.ko"))
			require.NoError(t, err)
			magic, err := kernels.Vermagic(ko)
			require.NoError(t, err)
			assert.True(t, strings.HasPrefix(magic, kit.Release+" "), magic)
			info, err := kernels.ModInfo(ko)
			require.NoError(t, err)
			assert.Equal(t, []string{"Y"}, info["livepatch"])
			// Two kits' headers do not mix: nothing was written beside the module.
			_, err = os.Stat(filepath.Join(kit.Dir, kit.HeadersDir, ".tmp_versions"))
			assert.ErrorIs(t, err, fs.ErrNotExist)
		})
	}
}

// asNobody runs this very test again as a user without rights, with a copy of
// the root that the user may read, and gives whether it is that run.
func asNobody(t *testing.T, env ...string) (r *Root, inside bool) {
	t.Helper()
	if dir := os.Getenv("TEST_ROOT_DIR"); dir != "" {
		return &Root{Dir: dir}, true
	}
	if os.Getuid() != 0 {
		t.Skip("needs root, to become another user")
	}
	shared, _ := realRoot(t)
	for dir := os.TempDir(); dir != "/"; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		require.NoError(t, err)
		if info.Mode()&0o001 == 0 {
			t.Skipf("another user cannot enter %s, where this would put a root for one (TMPDIR)", dir)
		}
	}
	// t.TempDir is for its owner alone.
	top, remove, err := guard.Scratch(os.TempDir(), "switchyard-nobody")
	require.NoError(t, err)
	t.Cleanup(remove)
	require.NoError(t, os.Chmod(top, 0o777))
	dir := filepath.Join(top, "root")
	linkTree(t, shared.Dir, dir)
	self := filepath.Join(top, "test")
	program, err := os.ReadFile("/proc/self/exe")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(self, program, 0o755))

	cmd := exec.CommandContext(t.Context(), self, "-test.run=^"+t.Name()+"$", "-test.count=1", "-test.v")
	cmd.Dir = top
	cmd.Env = append(append(os.Environ(), "TEST_ROOT_DIR="+dir, "TMPDIR="+top, "HOME="+top), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}, Pdeathsig: syscall.SIGKILL}
	out, err := cmd.CombinedOutput()
	if bytes.Contains(out, []byte("--- SKIP")) {
		t.Skipf("%s", out)
	}
	require.NoError(t, err, "%s", out)
	return nil, false
}

// linkTree copies a tree by hard links.
func linkTree(t *testing.T, from, to string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		switch {
		case d.IsDir():
			if err := os.MkdirAll(target, 0o755); err != nil {
				return err
			}
			return os.Chown(target, 65534, 65534) // mount points are made in it
		case d.Type()&fs.ModeSymlink != 0:
			link, err := os.Readlink(path)
			if err != nil {
				return err
			}
			return os.Symlink(link, target)
		}
		return os.Link(path, target)
	}))
}

func TestRunAsNobody(t *testing.T) {
	r, inside := asNobody(t)
	if !inside {
		return
	}
	way, err := r.findEntry(t.Context())
	unlessLacking(t, err)
	assert.Equal(t, asUser, way)
	checkRun(t, r)
}

// fakeSudo stands for sudo: a program with the set-user-id bit that becomes
// root and runs what follows `-n --`, with a poor environment and no other
// descriptors, as sudo does.
const fakeSudo = `
#define _GNU_SOURCE
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	if (argc < 4 || setresgid(0, 0, 0) || setresuid(0, 0, 0))
		return 1;
	for (int fd = 3; fd < 1000; fd++)
		close(fd);
	clearenv();
	execv(argv[3], argv + 3);
	return 1;
}
`

func TestRunBySudo(t *testing.T) {
	var path string
	if os.Getuid() == 0 && os.Getenv("TEST_ROOT_DIR") == "" {
		shared, _ := realRoot(t)
		dir, remove, err := guard.Scratch(os.TempDir(), "switchyard-sudo")
		require.NoError(t, err)
		t.Cleanup(remove)
		out, err := sh(t.Context(), shared, "gcc-14 -static -o /build/sudo -x c -", Job{
			Stdin: strings.NewReader(fakeSudo), Mounts: []Bind{{Host: dir, Inside: "/build", Writable: true}}})
		require.NoError(t, err, out)
		require.NoError(t, os.Chmod(filepath.Join(dir, "sudo"), fs.ModeSetuid|0o755))
		path = dir + ":"
	}
	r, inside := asNobody(t, "PATH="+path+os.Getenv("PATH"))
	if !inside {
		return
	}
	r.entry = bySudo
	err := r.enter(t.Context(), bySudo, Job{}, true)
	var failed *setUpError
	if errors.As(err, &failed) {
		t.Skipf("set-user-id programs do not work here: %v", err)
	}
	require.NoError(t, err)
	got, err := sh(t.Context(), r, "id -u; id -g; id -G; grep NoNewPrivs /proc/self/status", Job{})
	require.NoError(t, err)
	assert.Equal(t, "65534\n65534\n65534\nNoNewPrivs:\t1", got)
	checkRun(t, r)

	// The caller may not kill what sudo runs; letting go of the leash does.
	ctx, cancel := context.WithCancel(t.Context())
	ready, w, err := os.Pipe()
	require.NoError(t, err)
	defer ready.Close()
	go func() {
		_, _ = ready.Read(make([]byte, 1))
		cancel()
	}()
	const odd = "86418.75"
	err = r.Run(ctx, Job{Argv: []string{"sh", "-c", "setsid sleep " + odd + " & echo r; sleep " + odd}, Stdout: w})
	w.Close()
	require.ErrorIs(t, err, context.Canceled)
	assert.Empty(t, running(t, odd))
}

func TestNoWayIn(t *testing.T) {
	r, inside := asNobody(t, "PATH=/nowhere")
	if !inside {
		return
	}
	// A user namespace inside of which no further one may be made stands for
	// a machine that forbids them.
	if os.Getenv("TEST_NO_NAMESPACES") == "" {
		cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^TestNoWayIn$", "-test.count=1", "-test.v")
		cmd.Env = append(os.Environ(), "TEST_NO_NAMESPACES=1")
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}}}
		out, err := cmd.CombinedOutput()
		if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) {
			t.Skip(err)
		}
		require.NoError(t, err, "%s", out)
		return
	}
	require.NoError(t, os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0))
	require.NoError(t, os.WriteFile("/proc/sys/user/max_mnt_namespaces", []byte("0"), 0))
	err := r.Run(t.Context(), Job{Argv: []string{"true"}})
	var lacking *kernels.Lacking
	require.ErrorAs(t, err, &lacking)
	assert.Contains(t, lacking.Remedy, "user.max_user_namespaces")
	assert.Contains(t, err.Error(), "make namespaces")
	assert.Equal(t, err, r.Run(t.Context(), Job{Argv: []string{"true"}}), "found out once")
}

// BenchmarkEntry is what getting in and out costs.
func BenchmarkEntry(b *testing.B) {
	st, err := store.Open("")
	require.NoError(b, err)
	ar, err := debian.NewArchive(st, nil)
	require.NoError(b, err)
	r, err := Open(b.Context(), st, ar)
	if kernels.IsLacking(err) {
		b.Skip(err)
	}
	require.NoError(b, err)
	for b.Loop() {
		require.NoError(b, r.Run(b.Context(), Job{Argv: []string{"true"}}))
	}
}
