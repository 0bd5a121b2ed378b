// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/kernels/store"
)

// linkerScript is assembly as far as the preprocessor is concerned, and makes
// no object.
const linkerScript = "arch/x86/kernel/vmlinux.lds.S"

// Assembly keeps of files the assembly sources that this kernel is built from,
// the linker script with them, each once and sorted.
func (t *Tree) Assembly(ctx context.Context, files []string) (sources []string, err error) {
	if len(files) == 0 {
		return nil, nil
	}
	objects, err := t.objects(ctx)
	if err != nil {
		return nil, err
	}
	built := map[string]bool{}
	for _, o := range objects {
		built[o] = true
	}
	for _, f := range files {
		if path.Ext(f) == ".S" && (f == linkerScript || built[objectOf(f)]) {
			sources = append(sources, f)
		}
	}
	slices.Sort(sources)
	return slices.Compact(sources), nil
}

// preprocess gives a list of files to the preprocessor, one after the other,
// each with a number for its output's name.
const preprocess = `cc=$1 list=$2
shift 2
n=0
while read -r file; do
	"$cc" "$@" -E -P -D__ASSEMBLY__ -o %[1]s/$n.i %[2]s/$file 2> %[1]s/$n.err || rm -f %[1]s/$n.i
	n=$((n + 1))
done < "$list"
`

// Preprocess gives what the assembler is handed of assembly sources of this
// kernel with files of its source changed, in the order of sources: "" for one
// that the flags which hold for the whole kernel are not enough for. Lines are
// not numbered. It costs 20 CPU ms a file.
func (t *Tree) Preprocess(ctx context.Context, sources []string, overlay map[string][]byte) (texts []string, err error) {
	if len(sources) == 0 {
		return nil, nil
	}
	anywhere := strings.TrimSuffix(always, ".o") + ".c"
	units, err := t.own(ctx, []string{anywhere})
	if err != nil || len(units) == 0 {
		return nil, errors.Join(err, fmt.Errorf("the flags of %s of kernel %s are not known", anywhere, t.Kit.Release))
	}
	_, cc, err := t.tools(ctx)
	if err != nil {
		return nil, err
	}
	flags := adapt(units[0].argv, Job{AsBuilt: true})
	flags = slices.DeleteFunc(flags[:len(flags)-2], func(a string) bool {
		return a == "-c" || a == "-g0" || a == insideSource+"/"+anywhere || strings.HasPrefix(a, "-DKBUILD_")
	})
	dir, remove, err := t.deps.Store.Scratch("preprocess")
	if err != nil {
		return nil, err
	}
	defer remove()
	if err := os.WriteFile(filepath.Join(dir, "list"), []byte(strings.Join(sources, "\n")+"\n"), 0o644); err != nil {
		return nil, store.DiskFull(err, t.deps.Store.Dir)
	}
	script := fmt.Sprintf(preprocess, insideOut, insideSource)
	argv := slices.Concat([]string{"sh", "-c", script, "sh", cc.CC, insideOut + "/list"}, cc.Flags, flags)
	if said, err := t.cc(ctx, units[0], argv, overlay, dir); err != nil {
		return nil, fmt.Errorf("preprocess the assembly of kernel %s: %w\n%s", t.Kit.Release, err, said)
	}
	for n := range sources {
		text, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("%d.i", n)))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		texts = append(texts, string(text))
	}
	return texts, nil
}
