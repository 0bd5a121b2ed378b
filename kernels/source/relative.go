// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bufio"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// maxDifferences is how many options a relative's config may differ in: with
// more, most objects are made anew anyway.
const maxDifferences = 200

// relative finds the kernel of the same compiler and tree, or of the copy of it
// before this one, whose config is nearest: make then makes anew what depends
// on an option or a file that differs, and nothing else.
func (b *build) relative(config string) (best builtKit, ok bool) {
	kits, err := b.p.kits()
	if err != nil {
		return best, false
	}
	mine, err := configLines(config)
	if err != nil {
		return best, false
	}
	trees := map[string]bool{filepath.Base(b.source): true}
	if before, err := os.ReadFile(filepath.Join(b.source, previousFile)); err == nil {
		trees[string(before)] = true
	}
	least := maxDifferences + 1
	for _, k := range kits {
		if !trees[filepath.Base(k.SourceDir)] || k.Record.Compiler != b.plan.compiler || !b.p.Store.Has(kitKind, filepath.Base(k.Dir)) {
			continue
		}
		theirs, err := configLines(k.ConfigFile)
		if err != nil {
			continue
		}
		if d := differences(mine, theirs); d < least {
			least, best, ok = d, k, true
		}
	}
	return best, ok
}

func configLines(path string) (map[string]bool, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	set := map[string]bool{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "CONFIG_") {
			set[lines.Text()] = true
		}
	}
	return set, lines.Err()
}

func differences(a, b map[string]bool) (n int) {
	for line := range a {
		if !b[line] {
			n++
		}
	}
	for line := range b {
		if !a[line] {
			n++
		}
	}
	return n
}

// removeTorn removes what an interruption may have left half written. kbuild
// writes the .cmd file of a target behind the target; one that is older, or
// not there, belongs to another version of it.
func removeTorn(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, ok := strings.CutSuffix(d.Name(), ".cmd")
		if !ok || !strings.HasPrefix(name, ".") {
			return nil
		}
		target := filepath.Join(filepath.Dir(path), name[1:])
		made, err := os.Stat(target)
		if err != nil {
			return nil // nothing there that could be taken for whole
		}
		told, err := d.Info()
		if err != nil || !made.ModTime().After(told.ModTime()) {
			return err
		}
		if err := os.Remove(target); err != nil {
			return err
		}
		return os.Remove(path)
	})
}
