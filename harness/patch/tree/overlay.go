// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"

	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// overlay lays changed files over the source, in the tool root and for one job:
// each by a mount at its own place, so that every way to it, "../x.h" as well,
// finds it there and __FILE__ is what it always is. A folder that gains or loses
// a file is mounted anew whole, since nothing can be mounted where nothing is:
// its files by further names of them, its folders by mounts of their own.
func (t *Tree) overlay(files map[string][]byte, work string) (mounts []toolroot.Bind, err error) {
	var anew []string // folders, parents first
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if !fs.ValidPath(name) {
			return nil, fmt.Errorf("%q is not a path in a source tree", name)
		}
		_, err := os.Lstat(filepath.Join(t.dir, name))
		if there := err == nil; there == (files[name] != nil) {
			continue
		}
		folder := path.Dir(name)
		for { // the nearest one that is there
			if info, err := os.Stat(filepath.Join(t.dir, folder)); err == nil && info.IsDir() {
				break
			}
			folder = path.Dir(folder)
		}
		if !slices.Contains(anew, folder) {
			anew = append(anew, folder)
		}
	}
	slices.Sort(anew)
	for i, folder := range anew {
		host := filepath.Join(work, fmt.Sprint("folder", i))
		mounts = append(mounts, toolroot.Bind{Host: host, Inside: path.Join(insideSource, folder)})
		inner, err := t.anew(folder, host, files)
		if err != nil {
			return nil, err
		}
		mounts = append(mounts, inner...)
	}
	for i, name := range slices.Sorted(maps.Keys(files)) {
		if files[name] == nil {
			continue
		}
		if _, err := os.Lstat(filepath.Join(t.dir, name)); err != nil {
			continue // it lies in its folder
		}
		host := filepath.Join(work, fmt.Sprint("file", i))
		if err := write(host, files[name]); err != nil {
			return nil, err
		}
		mounts = append(mounts, toolroot.Bind{Host: host, Inside: path.Join(insideSource, name)})
	}
	return mounts, nil
}

// anew makes at host what a folder of the source is with files in it added and
// removed, and gives the mounts of the folders in it.
func (t *Tree) anew(folder, host string, files map[string][]byte) (mounts []toolroot.Bind, err error) {
	if err := os.MkdirAll(host, 0o755); err != nil {
		return nil, err
	}
	from := filepath.Join(t.dir, folder)
	entries, err := os.ReadDir(from)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		old, place := filepath.Join(from, e.Name()), filepath.Join(host, e.Name())
		if content, named := files[path.Join(folder, e.Name())]; named && content == nil {
			continue
		}
		switch {
		case e.IsDir():
			if err := os.Mkdir(place, 0o755); err != nil {
				return nil, err
			}
			mounts = append(mounts, toolroot.Bind{Host: old, Inside: path.Join(insideSource, folder, e.Name())})
		case e.Type()&fs.ModeSymlink != 0:
			target, err := os.Readlink(old)
			if err != nil {
				return nil, err
			}
			if err := os.Symlink(target, place); err != nil {
				return nil, err
			}
		default:
			if err := os.Link(old, place); err != nil {
				return nil, err
			}
		}
	}
	for name, content := range files {
		if content == nil || !within(folder, name) {
			continue
		}
		if _, err := os.Lstat(filepath.Join(t.dir, name)); err == nil {
			continue // it is mounted over the old one
		}
		// A file of a deeper folder that is there belongs to that one.
		if info, err := os.Stat(filepath.Join(t.dir, path.Dir(name))); err == nil && info.IsDir() && path.Dir(name) != folder {
			continue
		}
		rel, err := filepath.Rel(folder, name)
		if err != nil {
			return nil, err
		}
		if err := write(filepath.Join(host, rel), content); err != nil {
			return nil, err
		}
	}
	return mounts, nil
}

// within says whether name is below folder.
func within(folder, name string) bool {
	for dir := path.Dir(name); ; dir = path.Dir(dir) {
		if dir == folder {
			return true
		}
		if dir == "." || dir == "/" {
			return false
		}
	}
}

func write(file string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, content, 0o644)
}
