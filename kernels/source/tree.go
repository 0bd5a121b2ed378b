// SPDX-License-Identifier: Apache-2.0

package source

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/switchyard-project/switchyard/kernels/guard"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// tree is the origin of a source tree at hand. It is copied before it is built,
// so that the user may go on working on it.
func (p *Provider) tree(ctx context.Context, dir string) (*origin, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(dir); err != nil {
		return nil, &InputError{dir, "the source tree cannot be read: " + cause(err), err}
	} else if !info.IsDir() {
		return nil, &InputError{dir, "it is a file; give a tarball by -tarball", nil}
	}
	if err := checkTree(dir, dir); err != nil {
		return nil, err
	}
	o := &origin{title: dir, place: dir}
	if o.version, err = treeVersion(dir, dir); err != nil {
		return nil, err
	}
	var files []string
	if files, o.hash, err = identify(ctx, dir); err != nil {
		return nil, err
	}
	o.fill = func(ctx context.Context, _, to string) error {
		return copyTree(ctx, dir, to, files, p.previous(dir, o.version))
	}
	return o, nil
}

// previousFile names, in the copy of a tree, the copy that it shares files with:
// what is the same in both has the same time in both, and what is not
// is newer than every object that was built from the former.
const previousFile = ".switchyard-previous"

// previous is the newest copy of the tree at place that a kernel was built
// from, or was to be; else that of another tree of the same version, a release's
// most often; "" if there is none.
func (p *Provider) previous(place, version string) string {
	kits, err := p.kits()
	if err != nil {
		return ""
	}
	var name, other string
	var made, otherMade time.Time
	for _, k := range kits {
		switch {
		case k.Source == ProviderName+":"+place && k.Record.Made.After(made):
			name, made = filepath.Base(k.SourceDir), k.Record.Made
		case strings.HasPrefix(k.Version, sortable(version)+"-") && k.Record.Made.After(otherMade):
			other, otherMade = filepath.Base(k.SourceDir), k.Record.Made
		}
	}
	for _, l := range p.leftovers(place) {
		if l.Begun.After(made) {
			name, made = l.Source, l.Begun
		}
	}
	if name == "" {
		name = other
	}
	if name == "" || p.Store.Check(sourceKind, name) != nil {
		return ""
	}
	return p.Store.Path(sourceKind, name)
}

// identify lists a tree's files and gives a hash of their content. Where git
// knows the tree, its own hashes stand for all that is committed, and only what
// differs is read: a fraction of a second for 85 000 files.
func identify(ctx context.Context, dir string) (files []string, hash string, err error) {
	h := sha256.New()
	var read []string
	if commit, err := git(ctx, dir, "rev-parse", "--verify", "HEAD^{tree}"); err == nil {
		listed, err := git(ctx, dir, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
		if err != nil {
			return nil, "", fmt.Errorf("ask git for the files of %s: %w", dir, err)
		}
		changed, err := git(ctx, dir, "status", "--porcelain=v1", "-z", "--no-renames", "--untracked-files=all", "--ignore-submodules")
		if err != nil {
			return nil, "", fmt.Errorf("ask git for the changes in %s: %w", dir, err)
		}
		fmt.Fprintf(h, "git %s\n", bytes.TrimSpace(commit))
		files = split(listed)
		for _, line := range split(changed) {
			if len(line) > 3 {
				read = append(read, line[3:])
			}
		}
	} else {
		for _, made := range []string{".config", "include/config", "arch/x86/include/generated"} {
			if _, err := os.Stat(filepath.Join(dir, made)); err == nil {
				return nil, "", &InputError{dir, fmt.Sprintf("it was built in (%s is there), so that sources and products cannot be told apart; run `make mrproper` in it, or take a git tree", made), nil}
			}
		}
		err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if d.IsDir() {
				return nil
			}
			rel, err := filepath.Rel(dir, path)
			files = append(files, rel)
			return err
		})
		if err != nil {
			return nil, "", fmt.Errorf("list the files of %s: %w", dir, err)
		}
		read = files
		fmt.Fprintln(h, "files")
	}
	slices.Sort(read)
	for _, rel := range read {
		if err := ctx.Err(); err != nil {
			return nil, "", context.Cause(ctx)
		}
		sum, err := contentSum(filepath.Join(dir, rel))
		if err != nil {
			return nil, "", fmt.Errorf("read %s: %w", filepath.Join(dir, rel), err)
		}
		fmt.Fprintf(h, "%q %s\n", rel, sum)
	}
	return files, hex.EncodeToString(h.Sum(nil)), nil
}

// contentSum is of a file's content or a link's target; "" for one that is
// gone: git names what was removed.
func contentSum(path string) (string, error) {
	info, err := os.Lstat(path)
	switch {
	case os.IsNotExist(err):
		return "", nil
	case err != nil:
		return "", err
	case info.Mode()&fs.ModeSymlink != 0:
		return os.Readlink(path)
	case info.IsDir(): // a repository inside: not of this tree
		return "", nil
	}
	sum, err := store.HashFile(path)
	return fmt.Sprintf("%s %t", sum, info.Mode()&0o100 != 0), err
}

func split(list []byte) []string {
	return strings.FieldsFunc(string(list), func(r rune) bool { return r == 0 })
}

// git asks git about a tree. An error says that git is not there, or that the
// tree is not its.
func git(ctx context.Context, dir string, args ...string) ([]byte, error) {
	var out, said bytes.Buffer
	c, err := guard.Command(ctx, nil, "git", append([]string{"--no-optional-locks", "-C", dir}, args...)...)
	if err != nil {
		return nil, err
	}
	c.Stdout, c.Stderr = &out, &said
	if err := c.Run(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, strings.TrimSpace(said.String()))
	}
	return out.Bytes(), nil
}

// copyTree copies the files of a tree that a build needs. Those that are the
// same in the previous copy are shared with it.
func copyTree(ctx context.Context, from, to string, files []string, previous string) error {
	for _, rel := range files {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if !needed(rel) {
			continue
		}
		if err := takeFile(filepath.Join(from, rel), filepath.Join(to, rel), previous, rel); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	if previous != "" {
		if err := os.WriteFile(filepath.Join(to, previousFile), []byte(filepath.Base(previous)), 0o644); err != nil {
			return err
		}
	}
	return checkTree(from, to)
}

func takeFile(from, to, previous, rel string) error {
	if previous == "" {
		return copyFile(from, to)
	}
	old := filepath.Join(previous, rel)
	same, err := sameContent(from, old)
	if err != nil {
		return err
	}
	if same {
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return os.Link(old, to)
	}
	if err := copyFile(from, to); err != nil {
		return err
	}
	if info, err := os.Lstat(to); err != nil || !info.Mode().IsRegular() {
		return err
	}
	now := time.Now()
	return os.Chtimes(to, now, now)
}

// sameContent says whether two regular files are equal and as executable.
func sameContent(a, b string) (bool, error) {
	ia, err := os.Lstat(a)
	if err != nil {
		return false, err
	}
	ib, err := os.Lstat(b)
	if err != nil || !ia.Mode().IsRegular() || !ib.Mode().IsRegular() || ia.Size() != ib.Size() || (ia.Mode()^ib.Mode())&0o100 != 0 {
		return false, nil
	}
	ta, err := os.ReadFile(a)
	if err != nil {
		return false, err
	}
	tb, err := os.ReadFile(b)
	return err == nil && bytes.Equal(ta, tb), nil
}

// copyFile copies a file or a link with its permissions and time. Where the
// file system can, the content is shared until one of the two changes.
func copyFile(from, to string) error {
	info, err := os.Lstat(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	case !info.Mode().IsRegular():
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, info.Mode().Perm()|0o200)
	if err != nil {
		return err
	}
	defer out.Close()
	if _, err := io.Copy(out, in); err != nil { // copy_file_range(2)
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return os.Chtimes(to, info.ModTime(), info.ModTime())
}

// copyFolder copies a folder and all in it, with times.
func copyFolder(ctx context.Context, from, to string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		return copyFile(path, filepath.Join(to, rel))
	})
}
