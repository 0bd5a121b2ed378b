// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"github.com/switchyard-project/switchyard/kernels/store"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// tarballName is the name of a release: "linux-6.6.3.tar.xz".
var tarballName = regexp.MustCompile(`^linux-([0-9]+\.[0-9]+(?:\.[0-9]+)?(?:-rc[0-9]+)?)\.tar\.(?:xz|gz|zst)$`)

// releaseOf is the version that a release tarball's name tells, as uname will:
// "6.6.0" for linux-6.6.tar.xz. "" for another name.
func releaseOf(name string) string {
	m := tarballName.FindStringSubmatch(name)
	if m == nil {
		return ""
	}
	version, rc, _ := strings.Cut(m[1], "-")
	if strings.Count(version, ".") == 1 {
		version += ".0"
	}
	if rc != "" {
		return version + "-" + rc
	}
	return version
}

// tarball is the origin of a file at hand; sum, if not "", is the checksum that
// it must have.
func (p *Provider) tarball(path, sum string) (*origin, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, &InputError{path, "the tarball cannot be read: " + cause(err), err}
	}
	if info.IsDir() {
		return nil, &InputError{path, "it is a folder; give a source tree by -tree", nil}
	}
	hash, err := store.HashFile(path)
	if err != nil {
		return nil, &InputError{path, "the tarball cannot be read: " + cause(err), err}
	}
	if sum != "" && sum != hash {
		return nil, &InputError{path, fmt.Sprintf("its SHA-256 is %s and should be %s by the checksum file beside it: the file is damaged or not what it says; fetch it again", hash, sum), nil}
	}
	o := &origin{title: filepath.Base(path), place: path, hash: hash, fill: p.unpack}
	if o.version = releaseOf(o.title); o.version != "" {
		o.release = true
	}
	return o, nil
}

// unpack unpacks a tarball into dir, in the tool root: what is in it cannot
// reach anything else.
func (p *Provider) unpack(ctx context.Context, path, dir string) error {
	root, err := p.Root(ctx)
	if err != nil {
		return err
	}
	const at = "/usr/src/"
	var said toolroot.Log
	err = root.Run(ctx, toolroot.Job{
		Argv: []string{"tar", "--extract", "--file", at + filepath.Base(path), "--directory", at + "linux",
			"--strip-components=1", "--no-same-owner", "--delay-directory-restore"},
		Mounts: []toolroot.Bind{{Host: path, Inside: at + filepath.Base(path)}, {Host: dir, Inside: at + "linux", Writable: true}},
		Stdout: &said, Stderr: &said,
	})
	var exit *toolroot.ExitError
	switch {
	case strings.Contains(said.String(), "No space left on device"):
		return store.DiskFull(fmt.Errorf("unpack %s: %w", path, syscall.ENOSPC), p.Store.Dir)
	case errors.As(err, &exit):
		first, _, _ := strings.Cut(strings.TrimSpace(said.String()), "\n")
		return &InputError{path, "it is no tarball, or a damaged one: " + first, err}
	case err != nil:
		return err
	}
	if err := checkTree(path, dir); err != nil {
		return err
	}
	return pruneTree(dir)
}
