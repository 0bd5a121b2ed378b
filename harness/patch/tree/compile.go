// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/switchyard-project/switchyard/harness/patch/refusal"
	"github.com/switchyard-project/switchyard/kernels/store"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// objectKind is the kind of cache entries that compiled objects are.
const objectKind = "objects"

// Job is what to compile.
type Job struct {
	// Overlay is what differs from the kernel's source: content by path from
	// the top. nil for a file that is removed; an empty file is empty, not nil.
	Overlay map[string][]byte
	// Units are what is compiled.
	Units []Unit
	// Debug leaves the DWARF in, for the layouts of types. The code is the
	// same; objects are ten times as large.
	Debug bool
	// AsBuilt leaves functions and variables in the sections where the kernel's
	// build put them, instead of one each. Only so are the bytes the kernel's
	// own in every case: the assembler makes a jump from one function to
	// another in the same section shorter.
	AsBuilt bool
}

// Compiled is an object.
type Compiled struct {
	Unit
	Path     string // of the object on the host; the cache keeps it
	Warnings string // of the compiler, with paths from the top; "" for none
}

// perFunction puts each function and each variable into a section of its own,
// which changes nothing of what is in them.
var perFunction = []string{"-ffunction-sections", "-fdata-sections"}

// Compile compiles units by the kernel's own flags, in the order of j.Units. The
// objects are the compiler's own output: objtool has not seen them. The same
// job gives the same bytes, found in the cache the second time. Errors:
// *refusal.Refusal where the source does not compile.
func (t *Tree) Compile(ctx context.Context, j Job) ([]Compiled, error) {
	overlay := overlayKey(j.Overlay)
	all := make([]Compiled, len(j.Units))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.NumCPU())
	for i, u := range j.Units {
		g.Go(func() (err error) {
			all[i], err = t.compile(ctx, j, u, overlay)
			return err
		})
	}
	return all, g.Wait()
}

// overlayKey is a hash of an overlay.
func overlayKey(overlay map[string][]byte) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(overlay)) {
		fmt.Fprintf(h, "%q %t %x\n", name, overlay[name] == nil, sha256.Sum256(overlay[name]))
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (t *Tree) compile(ctx context.Context, j Job, u Unit, overlay string) (Compiled, error) {
	root, cc, err := t.tools(ctx)
	if err != nil {
		return Compiled{}, err
	}
	argv := slices.Concat([]string{cc.CC}, cc.Flags, adapt(u.argv, j))
	key := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%s\n%q", t.id, root.Name, cc.Name, overlay, argv))
	dir, err := t.deps.Store.Make(ctx, objectKind, hex.EncodeToString(key[:12]), func(ctx context.Context, dir string) error {
		return t.run(ctx, j, u, argv, dir)
	})
	if err != nil {
		return Compiled{}, err
	}
	warnings, err := os.ReadFile(filepath.Join(dir, "warnings"))
	return Compiled{Unit: u, Path: filepath.Join(dir, objectName), Warnings: string(warnings)}, err
}

const objectName = "object.o"

// adapt makes of kbuild's arguments ours: the object goes elsewhere, nobody
// wants its dependencies, and each function has a section.
func adapt(argv []string, j Job) []string {
	var out []string
	for i := 0; i < len(argv); i++ {
		switch a := argv[i]; {
		case strings.HasPrefix(a, "-Wp,-MD,"), strings.HasPrefix(a, "-Wp,-MMD,"):
		case a == "-o" && i+1 < len(argv):
			i++
		case a == "-Werror": // CONFIG_WERROR is about the kernel's sources, not about a fix
		case strings.HasPrefix(a, "-gz"), a == "-gsplit-dwarf":
		default:
			out = append(out, a)
		}
	}
	if j.Debug {
		out = append(out, "-g")
	} else {
		out = append(out, "-g0")
	}
	if !j.AsBuilt {
		out = append(out, perFunction...)
	}
	return append(out, "-fdiagnostics-color=never", "-o", insideOut+"/"+objectName)
}

// run compiles a unit and puts object and warnings into dir.
func (t *Tree) run(ctx context.Context, j Job, u Unit, argv []string, dir string) error {
	text, err := t.cc(ctx, u, argv, j.Overlay, dir)
	if err == nil {
		return os.WriteFile(filepath.Join(dir, "warnings"), []byte(text), 0o644)
	}
	var exit *toolroot.ExitError
	switch {
	case !errors.As(err, &exit):
		return err
	case len(j.Overlay) == 0:
		return fmt.Errorf("compile %s as kernel %s has it: %w\n%s", u.Source, t.Kit.Release, err, toolroot.LastWords(text))
	}
	return t.buildFailed(u, text, err)
}

// dependencies lists the files that a unit includes, from the top of the source.
func (t *Tree) dependencies(ctx context.Context, u Unit) (files []string, err error) {
	_, cc, err := t.tools(ctx)
	if err != nil {
		return nil, err
	}
	argv := slices.Concat([]string{cc.CC}, cc.Flags, adapt(u.argv, Job{AsBuilt: true}))
	argv = slices.DeleteFunc(argv, func(a string) bool { return a == "-c" || a == "-g0" })
	argv = append(argv[:len(argv)-2], "-M", "-MF", insideOut+"/deps")
	dir, err := t.remember(ctx, fmt.Sprintf("%q", argv), func(ctx context.Context, dir string) error {
		text, err := t.cc(ctx, u, argv, nil, dir)
		if err != nil {
			return fmt.Errorf("what %s of kernel %s includes: %w\n%s", u.Source, t.Kit.Release, err, toolroot.LastWords(text))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, "deps"))
	if err != nil {
		return nil, err
	}
	for _, word := range strings.Fields(string(text)) {
		if file, ok := strings.CutPrefix(word, insideSource+"/"); ok {
			files = append(files, path.Clean(file))
		}
	}
	return files, nil
}

// cc runs the compiler on an overlay of the source, in a build folder, with dir
// to write to. It gives what the compiler said, with paths from the top.
func (t *Tree) cc(ctx context.Context, u Unit, argv []string, overlay map[string][]byte, dir string) (said string, err error) {
	root, cc, err := t.tools(ctx)
	if err != nil {
		return "", err
	}
	b, err := t.built()
	if err != nil {
		return "", err
	}
	work, remove, err := t.deps.Store.Scratch("compile")
	if err != nil {
		return "", err
	}
	defer remove()
	folder := b.host
	if !b.whole {
		folder = filepath.Join(work, "build")
		if err := b.arrange(folder); err != nil {
			return "", err
		}
		if u.generated != "" {
			if err := copyFolder(u.generated, folder); err != nil {
				return "", err
			}
		}
	}
	changed, err := t.overlay(overlay, filepath.Join(work, "overlay"))
	if err != nil {
		return "", err
	}
	var log toolroot.Log
	err = root.Run(ctx, toolroot.Job{
		Argv: argv, Env: cc.Env, Dir: insideBuild, Stdout: &log, Stderr: &log,
		Mounts: slices.Concat(b.mounts, cc.Mounts, []toolroot.Bind{
			{Host: t.dir, Inside: insideSource}, {Host: folder, Inside: insideBuild}, {Host: dir, Inside: insideOut, Writable: true},
		}, changed),
	})
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return strings.ReplaceAll(log.String(), insideSource+"/", ""), err
}

var compilerError = regexp.MustCompile(`(?m)^([^\s:]+):(\d+):(?:\d+:)? (?:fatal )?error: (.*)$`)

// buildFailed turns the compiler's words into a refusal.
func (t *Tree) buildFailed(u Unit, log string, err error) error {
	m := compilerError.FindStringSubmatch(log)
	if m == nil {
		return fmt.Errorf("compile %s for kernel %s: %w\n%s", u.Source, t.Kit.Release, err, toolroot.LastWords(log))
	}
	line, _ := strconv.Atoi(m[2])
	r := &refusal.Refusal{
		Code: refusal.BuildFailed, File: m[1], Line: line, Release: t.Kit.Release,
		Text: "the changed source does not compile: " + m[3], Advice: "mend the diff for this kernel's source",
	}
	if m[1] != u.Source {
		r.Text += ", in " + u.Source
	}
	return r
}

// copyFolder copies the files of a folder.
func copyFolder(from, to string) error {
	return filepath.WalkDir(from, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(from, file)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		return store.CopyFile(file, target)
	})
}
