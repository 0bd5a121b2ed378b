// SPDX-License-Identifier: Apache-2.0

package runpre

import (
	"bytes"
	"context"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch/object"
	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/debian"
	"github.com/switchyard-project/switchyard/kernels/store"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// builtKit is a kernel of this machine's cache that was built here: its flags
// are on record beside its objects.
func builtKit(t testing.TB) *kernels.Kit {
	t.Helper()
	if testing.Short() {
		t.Skip("compiles with the real tool root")
	}
	st, err := store.Open("")
	require.NoError(t, err)
	found, err := filepath.Glob(filepath.Join(st.Dir, "kernels", "6.6.3+modules_*", "kit.json"))
	require.NoError(t, err)
	for _, file := range found {
		kit, err := kernels.ReadKitFile(filepath.Dir(file))
		require.NoError(t, err)
		if kit.BuildDir != "" {
			return kit
		}
	}
	t.Skip("no 6.6.3 has been built here: `switchyard kernels build 6.6.3`")
	return nil
}

var openRoot = sync.OnceValues(func() (*toolroot.Root, error) {
	st, err := store.Open("")
	if err != nil {
		return nil, err
	}
	archive, err := debian.NewArchive(st, nil)
	if err != nil {
		return nil, err
	}
	return toolroot.Open(context.Background(), st, archive)
})

// savedCommand is the line of a .cmd file that holds the compiler's.
var savedCommand = regexp.MustCompile(`(?m)^(?:saved)?cmd_\S+ := (.*)$`)

// compileUnit compiles a file of a kernel that was built here as its build
// did, without what objtool makes of it, each function and datum in a section
// of its own. change edits the source first, nil for none.
func compileUnit(t testing.TB, kit *kernels.Kit, source string, change func(string) string) *object.Object {
	t.Helper()
	root, err := openRoot()
	if kernels.IsLacking(err) {
		t.Skip(err)
	}
	require.NoError(t, err)
	out := strings.TrimSuffix(source, ".c") + ".o"
	record, err := os.ReadFile(filepath.Join(kit.BuildDir, path.Dir(out), "."+path.Base(out)+".cmd"))
	require.NoError(t, err)
	m := savedCommand.FindSubmatch(record)
	require.NotNil(t, m)
	command, _, _ := strings.Cut(string(m[1]), " ; ")
	command = strings.Replace(command, " -c -o "+out, " -ffunction-sections -fdata-sections -c -o /out/unit.o", 1)
	command = regexp.MustCompile(`-Wp,-MMD,\S+`).ReplaceAllString(command, "")
	dir := t.TempDir()
	mounts := []toolroot.Bind{{Host: dir, Inside: "/out", Writable: true}}
	for _, m := range kit.Mounts {
		mounts = append(mounts, toolroot.Bind{Host: m.Host, Inside: m.Inside})
	}
	if change != nil {
		text, err := os.ReadFile(filepath.Join(kit.SourceDir, source))
		require.NoError(t, err)
		changed := change(string(text))
		require.NotEqual(t, string(text), changed)
		edited := filepath.Join(dir, "edited.c")
		require.NoError(t, os.WriteFile(edited, []byte(changed), 0o644))
		mounts = append(mounts, toolroot.Bind{Host: edited, Inside: "/usr/src/linux/" + source})
	}
	var said bytes.Buffer
	err = root.Run(t.Context(), toolroot.Job{Argv: []string{"sh", "-c", command}, Dir: kit.HeadersDir, Mounts: mounts, Stdout: &said, Stderr: &said})
	require.NoError(t, err, said.String())
	o, err := object.Open(filepath.Join(dir, "unit.o"))
	require.NoError(t, err)
	return o
}
