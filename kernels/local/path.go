// SPDX-License-Identifier: Apache-2.0

package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/switchyard-project/switchyard/kernels"
)

// bad is the error for a path that cannot be tested: exit status 2.
func bad(path, format string, args ...any) error {
	return &kernels.SelectorError{Text: path, Reason: fmt.Sprintf(format, args...)}
}

// absolute is the path that a user wrote, whole and without links in it; named
// is the same with its links, "~" and what is relative made absolute.
func absolute(path string) (named, real string, err error) {
	named = path
	if path == "~" || strings.HasPrefix(path, "~/") {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", "", bad(path, "there is no home folder to find it in: %v", err)
		}
		named = filepath.Join(home, path[1:])
	}
	if named, err = filepath.Abs(named); err != nil {
		return "", "", bad(path, "%v", err)
	}
	if real, err = filepath.EvalSymlinks(named); err != nil {
		return "", "", bad(path, "%s", missing(named, err))
	}
	return named, real, nil
}

// missing says why the file named, of which err was said, is not there.
func missing(named string, err error) string {
	if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Sprintf("%s cannot be read: %v", named, err)
	}
	// The innermost part that is there may be a link into nowhere.
	for at := named; at != filepath.Dir(at); at = filepath.Dir(at) {
		if target, err := os.Readlink(at); err == nil {
			if _, err := os.Stat(at); err != nil {
				return fmt.Sprintf("%s is a link to %s, which does not exist", at, target)
			}
		}
		if _, err := os.Stat(at); err == nil {
			return fmt.Sprintf("there is no %s in %s", strings.TrimPrefix(named, strings.TrimSuffix(at, "/")+"/"), at)
		}
	}
	return "there is no " + named
}

func exists(elem ...string) bool {
	_, err := os.Stat(filepath.Join(elem...))
	return err == nil
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// isLink says whether there is a symbolic link, dangling or not.
func isLink(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&fs.ModeSymlink != 0
}

// within resolves path as it would be if root were "/": links in an unpacked
// package mean the package's own files, however they are written.
func within(root, path string) (string, error) {
	const maxLinks = 40 // as the kernel's
	rest := strings.Split(strings.Trim(path, "/"), "/")
	at := []string{}
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			at = at[:max(len(at)-1, 0)]
			continue
		}
		full := filepath.Join(root, filepath.Join(at...), part)
		info, err := os.Lstat(full)
		if err != nil {
			return "", err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			at = append(at, part)
			continue
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("%s: too many links", full)
		}
		target, err := os.Readlink(full)
		if err != nil {
			return "", err
		}
		if filepath.IsAbs(target) {
			at = nil
		}
		rest = append(strings.Split(strings.Trim(target, "/"), "/"), rest...)
	}
	return filepath.Join(root, filepath.Join(at...)), nil
}
