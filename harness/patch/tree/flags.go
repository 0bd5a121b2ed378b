// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/switchyard-project/switchyard/kernels/store"
)

// flagsKind is the kind of cache entries that hold what kbuild said.
const flagsKind = "flags"

// command is how kbuild compiles one object.
type command struct {
	Out  string   // the object, relative to the build folder
	Argv []string // of the compiler, without its name
}

// remember keeps what make computes for a question in the cache: every file of
// the source and of the configuration is the kit's, so that the answer never
// changes.
func (t *Tree) remember(ctx context.Context, what string, compute func(ctx context.Context, dir string) error) (dir string, err error) {
	root, cc, err := t.tools(ctx)
	if err != nil {
		return "", err
	}
	key := sha256.Sum256(fmt.Appendf(nil, "%s\n%s\n%s\n%s\n%s", t.id, root.Name, cc.Name, recorder, what))
	return t.deps.Store.Make(ctx, flagsKind, hex.EncodeToString(key[:12]), compute)
}

// commands gives the commands that the kernel's objects of source files are made
// by. A file that the kernel has no object of has none. Also given is a folder
// with the files that were generated on the way, to be laid into a build folder;
// "" if there are none.
func (t *Tree) commands(ctx context.Context, sources []string) (all map[string]command, generated string, err error) {
	q := about(sources)
	dir, err := t.remember(ctx, fmt.Sprintf("%s%q", q.rules, q.argv()), func(ctx context.Context, dir string) error {
		work, remove, err := t.deps.Store.Scratch("flags")
		if err != nil {
			return err
		}
		defer remove()
		a, err := t.kbuild(ctx, q, work)
		if err != nil {
			return err
		}
		maps.DeleteFunc(a.commands, func(out string, _ command) bool { return !a.objects[out] })
		if err := writeJSON(filepath.Join(dir, "commands.json"), a.commands); err != nil {
			return err
		}
		return keepGenerated(work, filepath.Join(dir, "generated"))
	})
	if err != nil {
		return nil, "", err
	}
	if err := readJSON(filepath.Join(dir, "commands.json"), &all); err != nil {
		return nil, "", err
	}
	generated = filepath.Join(dir, "generated")
	if _, err := os.Stat(generated); err != nil {
		generated = ""
	}
	return all, generated, nil
}

// objects lists all objects of the kernel's configuration, vmlinux's and the
// modules'. The first time kbuild goes through all folders: 5 CPU s.
func (t *Tree) objects(ctx context.Context) (all []string, err error) {
	dir, err := t.remember(ctx, fmt.Sprintf("%s%q", everything.rules, everything.argv()), func(ctx context.Context, dir string) error {
		work, remove, err := t.deps.Store.Scratch("objects")
		if err != nil {
			return err
		}
		defer remove()
		a, err := t.kbuild(ctx, everything, work)
		if err != nil {
			return err
		}
		return writeJSON(filepath.Join(dir, "objects.json"), slices.Sorted(maps.Keys(a.objects)))
	})
	if err != nil {
		return nil, err
	}
	return all, readJSON(filepath.Join(dir, "objects.json"), &all)
}

// keepGenerated copies the headers and sources that kbuild generated on the way.
func keepGenerated(work, to string) error {
	return filepath.WalkDir(work, func(file string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		switch rel, err := filepath.Rel(work, file); {
		case err != nil:
			return err
		case filepath.Dir(rel) == "." || !generatedName.MatchString(d.Name()):
			return nil
		default:
			target := filepath.Join(to, rel)
			if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
				return err
			}
			return store.CopyFile(file, target)
		}
	})
}

var generatedName = regexp.MustCompile(`^[^.].*\.(c|h|inc|def|S)$`)

func writeJSON(file string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}

func readJSON(file string, value any) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, value); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}
