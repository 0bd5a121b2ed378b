// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/klauspost/compress/zstd"

	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// Content is a bundle to be written: its description and where its files lie.
type Content struct {
	Manifest
	entries map[string]string // entry -> path on this machine
}

// Add puts the file at path in as the entry name. One that is not there is
// left out: a run that ended early has no console.
func (c *Content) Add(name, path string) error {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("%s is not a file", path)
	}
	if err := DefaultLimits.name(name); err != nil {
		return err
	}
	if c.entries == nil {
		c.entries = map[string]string{}
	}
	if before, twice := c.entries[name]; twice && before != path {
		return fmt.Errorf("two files for %s: %s and %s", name, before, path)
	}
	c.entries[name] = path
	return nil
}

// Save writes the bundle at path, whole or not at all. The same content gives
// the same bytes: entries are in order of their names, and bear no times,
// owners or modes of this machine.
func (c *Content) Save(path string) error {
	f, err := renameio.NewPendingFile(path, renameio.WithPermissions(0o644))
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer f.Cleanup()
	if err := c.Write(f); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return f.CloseAtomicallyReplace()
}

// Write writes the bundle. That it would not be one, by the limits and rules
// that Open goes by, is an error before anything is written.
func (c *Content) Write(w io.Writer) error {
	c.Schema, c.Files = Schema, []File{}
	names := make([]string, 0, len(c.entries))
	for name := range c.entries {
		names = append(names, name)
	}
	slices.SortFunc(names, strings.Compare)
	for _, name := range names {
		sum, err := store.HashFile(c.entries[name])
		if err != nil {
			return err
		}
		info, err := os.Stat(c.entries[name])
		if err != nil {
			return err
		}
		c.Files = append(c.Files, File{Name: name, Size: info.Size(), SHA256: sum})
	}
	c.orNone()
	// What could not be opened again is not written.
	if err := c.check(DefaultLimits); err != nil {
		return err
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(c.Manifest); err != nil {
		return err
	}
	// One thread: how the work falls on several would show in the bytes.
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(8<<20), zstd.WithEncoderCRC(true))
	if err != nil {
		return err
	}
	t := tar.NewWriter(z)
	if err := writeEntry(t, ManifestFile, int64(text.Len()), &text); err != nil {
		return err
	}
	for _, f := range c.Files {
		if err := c.copy(t, f); err != nil {
			return err
		}
	}
	return errors.Join(t.Close(), z.Close())
}

// orNone writes empty lists as such: readers need not expect null.
func (c *Content) orNone() {
	c.Patches = append([]Module{}, c.Patches...)
	c.With = append([]Module{}, c.With...)
	c.Loads = append([]load.Spec{}, c.Loads...)
	c.Kernel.Needed = append([]Sum{}, c.Kernel.Needed...)
}

func (c *Content) copy(t *tar.Writer, f File) error {
	in, err := os.Open(c.entries[f.Name])
	if err != nil {
		return err
	}
	defer in.Close()
	return writeEntry(t, f.Name, f.Size, in)
}

func writeEntry(t *tar.Writer, name string, size int64, content io.Reader) error {
	if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, Format: tar.FormatPAX}); err != nil {
		return err
	}
	// A file that grew meanwhile must not spoil the archive; that its sum is
	// wrong then, the reader tells.
	n, err := io.Copy(t, io.LimitReader(content, size))
	if err == nil && n != size {
		err = fmt.Errorf("%s became shorter while it was read", name)
	}
	return err
}
