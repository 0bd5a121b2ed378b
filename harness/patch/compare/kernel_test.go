// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"bytes"
	"errors"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch/object"
	"github.com/switchyard-project/switchyard/harness/patch/refusal"
	"github.com/switchyard-project/switchyard/harness/patch/tree"
	"github.com/switchyard-project/switchyard/harness/patch/tree/treetest"
)

// compiled gives the object of a source file as edit leaves it; nil where this
// kernel does not have it.
func compiled(t *testing.T, tr *tree.Tree, file string, edit func([]byte) []byte) *object.Object {
	t.Helper()
	units, err := tr.Units(t.Context(), file)
	var r *refusal.Refusal
	if errors.As(err, &r) && r.Code == refusal.NotBuilt {
		return nil
	}
	require.NoError(t, err)
	job := tree.Job{Units: units[:1]}
	if edit != nil {
		text, err := tr.Read(file)
		require.NoError(t, err)
		job.Overlay = map[string][]byte{file: edit(text)}
	}
	out, err := tr.Compile(t.Context(), job)
	require.NoError(t, err)
	o, err := object.Open(out[0].Path)
	require.NoError(t, err)
	return o
}

// kernelFiles have between them whatever tables, sections and names there are:
// alternatives, static calls, tracepoints, pr_debug, per-CPU data, clones.
var kernelFiles = []string{"kernel/fork.c", "net/core/sock.c", "fs/proc/base.c", "fs/fat/namei_vfat.c", "drivers/base/core.c"}

// TestKernelLines moves all lines of files of real kernels: no function may be
// another one for that. And whatever is taken out of their objects must say
// what it said.
func TestKernelLines(t *testing.T) {
	for _, tr := range treetest.Trees(t) {
		t.Run(tr.Kit.Release, func(t *testing.T) {
			for _, file := range kernelFiles {
				t.Run(path.Base(file), func(t *testing.T) {
					pre := compiled(t, tr, file, nil)
					if pre == nil {
						t.Logf("%s is not built for this kernel", file)
						return
					}
					roundTrip(t, pre, everything(t, pre))
					shift := func(text []byte) []byte { return append([]byte("\n\n\n"), text...) }
					post := compiled(t, tr, file, shift)
					d, err := CompareMoved(pre, post, func(of, _ string, line int) (int, bool) { return line + 3, of == path.Base(file) })
					require.NoError(t, err)
					for _, f := range d.Functions {
						t.Errorf("%s: %+v", f.Name, f.Members)
					}
					require.True(t, d.Empty(), "%+v %v %v", d.Data, d.Exports, d.Tables)
					t.Logf("%d functions differ by lines alone", len(d.LineOnly))
				})
			}
		})
	}
}

// TestKernelChange changes one function of a real kernel.
func TestKernelChange(t *testing.T) {
	for _, tr := range treetest.Trees(t) {
		t.Run(tr.Kit.Release, func(t *testing.T) {
			const file = "fs/proc/cmdline.c"
			pre := compiled(t, tr, file, nil)
			post := compiled(t, tr, file, func(text []byte) []byte {
				require.Equal(t, 1, strings.Count(string(text), `seq_puts(m, saved_command_line);`))
				return bytes.Replace(text, []byte(`seq_puts(m, saved_command_line);`), []byte("pr_warn_once(\"%s\", __func__);\n\tseq_printf(m, \"patched \"); seq_puts(m, saved_command_line);"), 1)
			})
			d, err := Compare(pre, post)
			require.NoError(t, err)
			require.Equal(t, map[string]Status{"cmdline_proc_show": Changed}, changes(d))
			s, err := Select(pre, post, d)
			require.NoError(t, err)
			sound(t, s)
			require.Equal(t, []string{"cmdline_proc_show"}, s.Patched)
			defined, undefined := names(s)
			require.Contains(t, defined, "cmdline_proc_show")
			require.Subset(t, undefined, []string{"saved_command_line", "seq_printf"})
		})
	}
}
