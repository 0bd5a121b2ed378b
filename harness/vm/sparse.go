// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// extent is a part of a file that holds data, in bytes.
type extent struct{ begin, end int64 }

// extents are the parts of f, of size bytes, that are no holes: a guest's
// memory is mostly holes.
func extents(f *os.File, size int64) (all []extent, err error) {
	for at := int64(0); at < size; {
		begin, err := f.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		end, err := f.Seek(begin, unix.SEEK_HOLE)
		if err != nil {
			return nil, err
		}
		all = append(all, extent{begin, end})
		at = end
	}
	return all, nil
}

// copySparse copies what from holds into to, a file of the same size that
// holds nothing yet. Go has the kernel copy (copy_file_range).
func copySparse(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	info, err := in.Stat()
	if err != nil {
		return err
	}
	out, err := os.OpenFile(to, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer out.Close()
	if there, err := out.Stat(); err != nil || there.Size() != info.Size() {
		return fmt.Errorf("copy the memory of %d bytes to %s: it has another size (%v)", info.Size(), to, err)
	}
	all, err := extents(in, info.Size())
	if err != nil {
		return err
	}
	for _, e := range all {
		if _, err := in.Seek(e.begin, io.SeekStart); err != nil {
			return err
		}
		if _, err := out.Seek(e.begin, io.SeekStart); err != nil {
			return err
		}
		if _, err := io.CopyN(out, in, e.end-e.begin); err != nil {
			return err
		}
	}
	return out.Close()
}
