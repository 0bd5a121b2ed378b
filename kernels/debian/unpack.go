// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/xi2/xz"
	"pault.ag/go/debian/deb"
)

// Place says where in the target a file of a package goes: name is its path
// without a slash in front ("usr/bin/make"), as is the answer; ok is false for
// a file that is left out. A nil Place puts everything where it belongs.
type Place func(name string) (to string, ok bool)

// Unpack extracts a .deb file's data below root, without being root: nobody
// is made owner, devices are left out, set-user-id bits dropped, folders can
// be written by us. No name and no link in the package reaches outside of
// root, which os.Root sees to.
func Unpack(file string, root *os.Root, place Place) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("unpack: %w", err)
	}
	defer f.Close()
	archive, err := deb.LoadAr(f)
	if err != nil {
		return fmt.Errorf("unpack %s: %w", file, err)
	}
	for {
		member, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("unpack %s: it has no data", file)
		}
		if err != nil {
			return fmt.Errorf("unpack %s: %w", file, err)
		}
		suffix, ok := strings.CutPrefix(member.Name, "data.tar")
		if !ok {
			continue
		}
		r, done, err := decompress(member.Data, suffix)
		if err != nil {
			return fmt.Errorf("unpack %s: %w", file, err)
		}
		defer done()
		err = untar(tar.NewReader(r), root, place)
		if err == nil {
			// tar stops at its own end mark; the checksum of the compressed
			// stream stands behind that.
			_, err = io.Copy(io.Discard, r)
		}
		if err != nil {
			return fmt.Errorf("unpack %s: %w", file, err)
		}
		return nil
	}
}

func decompress(r io.Reader, suffix string) (io.Reader, func(), error) {
	nothing := func() {}
	switch suffix {
	case ".xz":
		x, err := xz.NewReader(r, 0)
		return x, nothing, err
	case ".zst":
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
		if err != nil {
			return nil, nothing, err
		}
		return z, z.Close, nil
	case ".gz":
		g, err := gzip.NewReader(r)
		return g, nothing, err
	case "":
		return r, nothing, nil
	}
	return nil, nothing, fmt.Errorf("data packed as %q is not known here", suffix)
}

func untar(t *tar.Reader, root *os.Root, place Place) error {
	if place == nil {
		place = func(name string) (string, bool) { return name, true }
	}
	u := unpacker{root: root, made: map[string]bool{".": true}, buffer: make([]byte, 1<<16)}
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		// Clean alone would turn "../x" into something that os.Root refuses;
		// behind a slash it is "x".
		name := strings.TrimPrefix(path.Clean("/"+h.Name), "/")
		to, ok := place(name)
		if name == "" || !ok {
			continue
		}
		if h.Typeflag == tar.TypeLink {
			target, ok := place(strings.TrimPrefix(path.Clean("/"+h.Linkname), "/"))
			if !ok {
				return fmt.Errorf("%s is a link to %s, which is left out", name, h.Linkname)
			}
			h.Linkname = target
		}
		if err := u.put(h, to, t); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
}

type unpacker struct {
	root   *os.Root
	made   map[string]bool // folders known to be there
	buffer []byte
}

func (u *unpacker) put(h *tar.Header, to string, content io.Reader) error {
	switch h.Typeflag {
	case tar.TypeDir:
		return u.folder(to)
	case tar.TypeReg, tar.TypeLink, tar.TypeSymlink:
	default:
		return nil // devices and pipes need root, and nothing here needs them
	}
	if err := u.folder(path.Dir(to)); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeLink:
		return u.anew(to, func() error { return u.root.Link(h.Linkname, to) })
	case tar.TypeSymlink:
		return u.anew(to, func() error { return u.root.Symlink(h.Linkname, to) })
	}
	return u.file(h, to, content)
}

func (u *unpacker) folder(dir string) error {
	if u.made[dir] {
		return nil
	}
	if info, err := u.root.Stat(dir); err != nil || !info.IsDir() {
		if err := u.root.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	u.made[dir] = true
	return nil
}

// anew makes something at to, removing what is there.
func (u *unpacker) anew(to string, do func() error) error {
	err := do()
	if errors.Is(err, fs.ErrExist) {
		if err := u.root.Remove(to); err != nil {
			return err
		}
		err = do()
	}
	return err
}

func (u *unpacker) file(h *tar.Header, to string, content io.Reader) error {
	var f *os.File
	err := u.anew(to, func() (err error) {
		f, err = u.root.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fs.FileMode(h.Mode)&0o755|0o600)
		return err
	})
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, content, u.buffer)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	// make compares times.
	return u.root.Chtimes(to, time.Time{}, h.ModTime)
}

// Data is the tar archive of a package's data, packed as Suffix says (".xz"), for
// somebody who unpacks it by other means than Unpack: a package of a hundred
// megabytes by a program that is faster.
type Data struct {
	io.Reader
	Suffix string
	Size   int64 // bytes, packed
	file   *os.File
}

// OpenData opens the data of a .deb file.
func OpenData(file string) (*Data, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	archive, err := deb.LoadAr(f)
	for err == nil {
		var member *deb.ArEntry
		if member, err = archive.Next(); err != nil {
			break
		}
		if suffix, ok := strings.CutPrefix(member.Name, "data.tar"); ok {
			return &Data{member.Data, suffix, member.Size, f}, nil
		}
	}
	f.Close()
	return nil, fmt.Errorf("unpack %s: %w", file, err)
}

// Close closes the file.
func (d *Data) Close() error { return d.file.Close() }
