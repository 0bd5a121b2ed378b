// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/report/bundle"
	"github.com/switchyard-project/switchyard/harness/run"
)

// mostNamed bounds how many of those that may be meant are named.
const mostNamed = 20

// toRepeat finds what `switchyard repro` does again: the bundle that path is, or
// the one recording (its folder) or bundle in what a run was given as its
// -artifacts, however deep: runs make folders for kernels, repeats and seeds. A
// recorded run has both, and is replayed.
func toRepeat(path string) (found string, recorded bool, err error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", false, &patch.InputError{Path: path, Text: err.Error(), Err: err}
	}
	if !info.IsDir() {
		return path, false, nil
	}
	if _, err := os.Stat(filepath.Join(path, run.RecordingFile)); err == nil {
		return path, true, nil
	}
	recordings, bundles := below(path, run.RecordingFile), below(path, bundle.FileName)
	for i, file := range recordings {
		recordings[i] = filepath.Dir(file)
	}
	switch {
	case len(recordings) == 1:
		return recordings[0], true, nil
	case len(recordings) > 1:
		return "", false, several(path, "recordings", recordings)
	case len(bundles) == 1:
		return bundles[0], false, nil
	case len(bundles) > 1:
		return "", false, several(path, "bundles", bundles)
	}
	return "", false, &patch.InputError{Path: path, Text: "holds no recording (" + run.RecordingFile + ") and no bundle: give a bundle, or the artifacts folder of a run with -record that ended by itself"}
}

// several says which there are, of which one is to be named.
func several(path, what string, all []string) error {
	text := fmt.Sprintf("holds %d %s; name one: %s", len(all), what, strings.Join(all[:min(len(all), mostNamed)], ", "))
	if more := len(all) - mostNamed; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return &patch.InputError{Path: path, Text: text}
}

// below are the files of that name in the folder dir and those in it. What
// cannot be read there has none.
func below(dir, name string) (all []string) {
	_ = fs.WalkDir(os.DirFS(dir), ".", func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && e.Name() == name {
			all = append(all, filepath.Join(dir, path))
		}
		return nil // also of an error: on with what can be read
	})
	return all
}
