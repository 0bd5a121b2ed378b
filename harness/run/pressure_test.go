// SPDX-License-Identifier: Apache-2.0

package run

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// memoryGroup is a cgroup with a limit of memory, of version 1 or 2.
type memoryGroup struct {
	dir   string
	files groupFiles
}

type groupFiles struct{ root, limit, usage, hits string }

// https://docs.kernel.org/admin-guide/cgroup-v2.html (memory.max, memory.events)
// https://docs.kernel.org/admin-guide/cgroup-v1/memory.html
var memoryGroups = []groupFiles{
	{"/sys/fs/cgroup", "memory.max", "memory.current", "memory.events"},
	{"/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.max_usage_in_bytes", "memory.failcnt"},
}

// tightMiB is less than two guests and the pages they map need, and enough for
// what cannot be taken away: the memory they wrote.
const tightMiB = 176

func newMemoryGroup(t *testing.T) *memoryGroup {
	t.Helper()
	var errs []string
	for _, files := range memoryGroups {
		dir, err := os.MkdirTemp(files.root, "switchyard-test-")
		if err != nil {
			errs = append(errs, err.Error())
			continue
		}
		g := &memoryGroup{dir: dir, files: files}
		t.Cleanup(func() { // once the last process is gone
			require.Eventually(t, func() bool { return os.Remove(dir) == nil }, 30*time.Second, 10*time.Millisecond, dir)
		})
		f, err := os.OpenFile(filepath.Join(dir, files.limit), os.O_WRONLY, 0) // not made: it may be no cgroup
		if err == nil {
			_, err = fmt.Fprint(f, tightMiB<<20)
			_ = f.Close()
		}
		if err != nil {
			errs = append(errs, err.Error())
			continue
		}
		return g
	}
	t.Skipf("a limit of memory needs a cgroup that this user may make: %s", strings.Join(errs, "; "))
	return nil
}

func (g *memoryGroup) add(t *testing.T, pid int) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(g.dir, "cgroup.procs"), fmt.Append(nil, pid), 0o644))
}

func (g *memoryGroup) read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(g.dir, name))
	require.NoError(t, err)
	return strings.TrimSpace(string(text))
}

// pressed is how often the limit was in the way.
func (g *memoryGroup) pressed(t *testing.T) (n int) {
	t.Helper()
	text := g.read(t, g.files.hits)
	if _, err := fmt.Sscan(text, &n); err == nil {
		return n
	}
	for line := range strings.Lines(text) {
		if _, err := fmt.Sscanf(line, "max %d", &n); err == nil {
			return n
		}
	}
	t.Fatalf("no figure in %q", text)
	return 0
}

func (g *memoryGroup) state(t *testing.T) string {
	t.Helper()
	return fmt.Sprintf("%d MiB, used %s, at the limit: %s", tightMiB, g.read(t, g.files.usage), strings.Join(strings.Fields(g.read(t, g.files.hits)), " "))
}

// forgetPages drops a file's clean pages from the page cache.
func forgetPages(t *testing.T, f *os.File) {
	t.Helper()
	require.NoError(t, f.Sync())
	require.NoError(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
}
