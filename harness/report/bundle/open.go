// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/switchyard-project/switchyard/kernels/store"
)

// Error says that a file is no bundle, or none that may be opened. The command
// exits with status 2 on it.
type Error struct {
	Path string
	Err  error
}

func (e *Error) Error() string { return fmt.Sprintf("bundle %s: %v", e.Path, e.Err) }
func (e *Error) Unwrap() error { return e.Err }

// Opened is a bundle that was unpacked.
type Opened struct {
	Manifest
	Path string // of the archive
	Dir  string // where its entries lie
}

// File is the path of an entry on this machine.
func (o *Opened) File(entry string) string { return filepath.Join(o.Dir, filepath.FromSlash(entry)) }

// Open unpacks the bundle at path into the empty folder dir. Nothing of it is
// trusted: every entry is a plain file that its description names, with that
// size and sum, in dir, and all is within limits. The error is an *Error for
// what is wrong with the bundle; dir may hold some of it then.
func Open(path, dir string, limits Limits) (*Opened, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, &Error{path, err}
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, &Error{path, err}
	case !info.Mode().IsRegular():
		return nil, &Error{path, errors.New("it is not a file")}
	case info.Size() > limits.Archive:
		return nil, &Error{path, fmt.Errorf("it has %d bytes, and %d are read", info.Size(), limits.Archive)}
	}
	o, err := read(f, dir, limits)
	if err != nil {
		if full := store.DiskFull(err, dir); full != err {
			return nil, full
		}
		return nil, &Error{path, err}
	}
	o.Path = path
	return o, nil
}

// reader counts what is read of the archive and what comes out of it.
type reader struct {
	limits   Limits
	root     *os.Root
	in       *counter
	unpacked int64
}

type counter struct {
	io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.n += int64(n)
	return n, err
}

func read(in io.Reader, dir string, limits Limits) (*Opened, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	r := &reader{limits: limits, root: root, in: &counter{Reader: in}}
	z, err := zstd.NewReader(r.in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxWindow(limits.Window), zstd.WithDecoderMaxMemory(uint64(limits.Total)+limits.Window))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	t := tar.NewReader(&bounded{z, r})
	m, err := r.manifest(t)
	if err != nil {
		return nil, err
	}
	for _, f := range m.Files {
		if err := r.entry(t, f); err != nil {
			return nil, err
		}
	}
	if h, err := t.Next(); err == nil {
		return nil, fmt.Errorf("%q is in it, and %s does not name it", h.Name, ManifestFile)
	} else if !errors.Is(err, io.EOF) {
		return nil, unreadable(err)
	}
	return &Opened{Manifest: *m, Dir: dir}, nil
}

// bounded ends an archive that unpacks to more than it may.
type bounded struct {
	io.Reader
	r *reader
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	r := b.r
	r.unpacked += int64(n)
	// The archive's own frame is no more than two blocks an entry, and its end.
	if frame := int64(r.limits.Entries+8)*2048 + r.limits.Manifest; r.unpacked > r.limits.Total+frame {
		return n, fmt.Errorf("it unpacks to more than %d bytes", r.limits.Total)
	}
	if over := r.unpacked - r.limits.RatioFree; over > 0 && over/r.limits.Ratio > r.in.n {
		return n, fmt.Errorf("it unpacks to more than %d times its size", r.limits.Ratio)
	}
	return n, err
}

// next is the header of the next entry, a plain file called name.
func (r *reader) next(t *tar.Reader, name string) (*tar.Header, error) {
	h, err := t.Next()
	switch {
	case errors.Is(err, io.EOF):
		return nil, fmt.Errorf("it ends before %s: it was cut off", name)
	case err != nil:
		return nil, unreadable(err)
	case h.Typeflag != tar.TypeReg || sparse(h):
		return nil, fmt.Errorf("%q in it is no plain file", h.Name)
	case h.Name != name:
		return nil, fmt.Errorf("%q stands where %q is to be", h.Name, name)
	}
	return h, nil
}

// sparse says whether h is of a file with holes, which takes no room in the
// archive and all of it behind.
func sparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// unreadable is err, said of an archive.
func unreadable(err error) error {
	if errors.Is(err, zstd.ErrMagicMismatch) || errors.Is(err, tar.ErrHeader) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it is no whole tar archive packed with zstd (%w): give a bundle that switchyard run wrote", err)
	}
	return err
}

// manifest reads the first entry and holds it against the limits.
func (r *reader) manifest(t *tar.Reader) (*Manifest, error) {
	h, err := r.next(t, ManifestFile)
	if err != nil {
		return nil, err
	}
	if h.Size > r.limits.Manifest {
		return nil, fmt.Errorf("%s has %d bytes, and %d are read", ManifestFile, h.Size, r.limits.Manifest)
	}
	text, err := io.ReadAll(t)
	if err != nil {
		return nil, unreadable(err)
	}
	var m Manifest
	// Fields that are not known are of a later version, and are let be.
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("%s: %w", ManifestFile, err)
	}
	if m.Schema != Schema {
		return nil, fmt.Errorf("%s is of schema %q, and this program reads %q", ManifestFile, m.Schema, Schema)
	}
	if err := m.check(r.limits); err != nil {
		return nil, fmt.Errorf("%s: %w", ManifestFile, err)
	}
	return &m, r.put(ManifestFile, bytes.NewReader(text))
}

// entry takes in one file as m describes it.
func (r *reader) entry(t *tar.Reader, f File) error {
	h, err := r.next(t, f.Name)
	if err != nil {
		return err
	}
	if h.Size != f.Size {
		return fmt.Errorf("%q has %d bytes, and is described as having %d", f.Name, h.Size, f.Size)
	}
	sum := sha256.New()
	if err := r.put(f.Name, io.TeeReader(t, sum)); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != f.SHA256 {
		return fmt.Errorf("%q is not what it was (SHA-256 %.16s…, described as %.16s…)", f.Name, got, f.SHA256)
	}
	return nil
}

func (r *reader) put(name string, content io.Reader) error {
	if dir := path.Dir(name); dir != "." {
		if err := r.root.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	f, err := r.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, content); err != nil {
		f.Close()
		return unreadable(err)
	}
	return f.Close()
}

// name says what is wrong with an entry's name.
func (l Limits) name(name string) error {
	switch {
	case len(name) > l.Names:
		return fmt.Errorf("an entry's name has %d bytes, and %d may be", len(name), l.Names)
	case !filepath.IsLocal(name) || path.Clean(name) != name || strings.ContainsAny(name, "\\\x00"):
		return fmt.Errorf("%q is no name of an entry", name)
	case strings.Count(name, "/") > l.Depth:
		return fmt.Errorf("%q lies deeper than %d folders", name, l.Depth)
	}
	for _, r := range name {
		if r < ' ' || r == 0x7f {
			return fmt.Errorf("%q is no name of an entry", name)
		}
	}
	return nil
}
