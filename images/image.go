// SPDX-License-Identifier: Apache-2.0

package images

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"github.com/u-root/u-root/pkg/cpio"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// bootModules are the kernel modules that a guest needs before its agent can
// speak, each with the reason and the names that it has had, newest first.
// Built-in ones are skipped.
var bootModules = []struct {
	names []string
	why   string
	spare bool // a guest does without
}{
	{[]string{"virtio_pci"}, "finds the virtio-serial device", false},
	{[]string{"virtio_console"}, "the port that carries the channel", false},
	// Renamed by commit f104060813fe (misc/pvpanic: split-up generic and
	// platform dependent code), 5.13. Without it a panic is told by the console.
	{[]string{"pvpanic-mmio", "pvpanic"}, "tells QEMU of a panic while it happens; drives QEMU's ISA device, named in ACPI", true},
}

// anyModule gives the files of the first of names that the kit has.
func (s Spec) anyModule(names []string) (files []string, err error) {
	var missing *kernels.NoModuleError
	for _, name := range names {
		if files, _, err = s.Kit.ModuleFiles(name); !errors.As(err, &missing) {
			return files, err
		}
	}
	return nil, err
}

// ModulesList is where the agent finds, a line each, the paths of the modules
// to load before anything else.
const ModulesList = "etc/switchyard/modules"

// File is one file of an image.
type File struct {
	Path    string // inside the guest, without a leading slash
	Mode    uint32 // permission bits
	Content []byte
	Link    string // what it leads to, of a symbolic link
}

// Spec says what an image holds.
type Spec struct {
	Kit *kernels.Kit
	// Commands puts u-root's commands in. They are more than half of an image,
	// all of it unpacked at every boot, and a run needs none of them.
	Commands bool
	Files    []File // of one case, behind everything else
}

// Image is an initramfs ready to boot.
type Image struct {
	Path   string // a cpio archive on the host
	Digest string // SHA-256 of what went into it
	Agent  string // SHA-256 of the agent in it
}

// Build makes the image, or finds it made: the same content is assembled once.
func (s Spec) Build(ctx context.Context, st *store.Store) (*Image, error) {
	base := ""
	if s.Commands {
		var err error
		if base, err = Base(ctx, st); err != nil {
			return nil, err
		}
	}
	agent, err := Agent(ctx, st)
	if err != nil {
		return nil, err
	}
	segment, err := s.segment(agent)
	if err != nil {
		return nil, fmt.Errorf("image for %s: %w", s.Kit.Release, err)
	}
	// The base's name is a hash of all that it is made from.
	sum := sha256.Sum256(append([]byte(filepath.Dir(base)+"\n"), segment...))
	digest := hex.EncodeToString(sum[:])
	dir, err := st.Make(ctx, "images", s.Kit.Release+"-"+digest[:16], func(_ context.Context, dir string) error {
		return concatenate(filepath.Join(dir, "initramfs.cpio"), base, segment)
	})
	if err != nil {
		return nil, fmt.Errorf("image for %s: %w", s.Kit.Release, err)
	}
	program := sha256.Sum256(agent)
	return &Image{Path: filepath.Join(dir, "initramfs.cpio"), Digest: digest, Agent: hex.EncodeToString(program[:])}, nil
}

// segment is the second cpio archive: the kernel unpacks it over the first
// (Documentation/driver-api/early-userspace/buffer-format.rst).
func (s Spec) segment(agent []byte) ([]byte, error) {
	files, err := s.moduleFiles()
	if err != nil {
		return nil, err
	}
	files = append([]File{{Path: "bin/guestd", Mode: 0o755, Content: agent}}, files...)
	var records []cpio.Record
	folders := map[string]bool{}
	for _, f := range append(files, s.Files...) {
		for _, dir := range parents(f.Path) {
			if !folders[dir] {
				folders[dir] = true
				records = append(records, cpio.Directory(dir, 0o755))
			}
		}
		if f.Link != "" {
			records = append(records, cpio.Symlink(f.Path, f.Link))
			continue
		}
		records = append(records, cpio.StaticRecord(f.Content, cpio.Info{Name: f.Path, Mode: cpio.S_IFREG | uint64(f.Mode)}))
	}
	var out bytes.Buffer
	w := cpio.Newc.Writer(&out)
	cpio.MakeAllReproducible(records)
	for i, r := range records {
		r.Ino = uint64(i + 1)
		if err := w.WriteRecord(r); err != nil {
			return nil, fmt.Errorf("archive %s: %w", r.Name, err)
		}
	}
	if err := cpio.WriteTrailer(w); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

// moduleFiles are the boot modules of the kit, uncompressed (the guest has no
// decompressor for .ko.xz before 6.2's in-kernel one), and their list.
func (s Spec) moduleFiles() ([]File, error) {
	var files []File
	var list strings.Builder
	paths, err := s.BootModules()
	if err != nil {
		return nil, err
	}
	for _, p := range paths {
		content, err := kernels.ReadModule(p)
		if err != nil {
			return nil, err
		}
		name, _, _ := strings.Cut(filepath.Base(p), ".ko")
		name += ".ko" // without .xz, .zst, .gz
		inside := path.Join("lib/switchyard", name)
		files = append(files, File{Path: inside, Mode: 0o644, Content: content})
		fmt.Fprintf(&list, "/%s\n", inside)
	}
	return append(files, File{Path: ModulesList, Mode: 0o644, Content: []byte(list.String())}), nil
}

// BootModules are the files of the kit's modules that an image holds, in load
// order, each once. Errors: *kernels.NoModuleError for a kernel without one
// that a guest needs.
func (s Spec) BootModules() (files []string, err error) {
	for _, m := range bootModules {
		paths, err := s.anyModule(m.names)
		var missing *kernels.NoModuleError
		if m.spare && errors.As(err, &missing) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("module %s (%s): %w", m.names[0], m.why, err)
		}
		for _, p := range paths {
			if !slices.Contains(files, p) {
				files = append(files, p)
			}
		}
	}
	return files, nil
}

// parents are the folders above name, outermost first.
func parents(name string) []string {
	var dirs []string
	for dir := path.Dir(name); dir != "." && dir != "/"; dir = path.Dir(dir) {
		dirs = append(dirs, dir)
	}
	sort.Slice(dirs, func(i, j int) bool { return len(dirs[i]) < len(dirs[j]) })
	return dirs
}

// concatenate writes base, if there is one, padded to the four bytes at which
// the kernel looks for the next archive, and segment.
func concatenate(out, base string, segment []byte) error {
	if base == "" {
		return os.WriteFile(out, segment, 0o644)
	}
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	defer f.Close()
	in, err := os.Open(base)
	if err != nil {
		return err
	}
	defer in.Close()
	n, err := io.Copy(f, in)
	if err != nil {
		return err
	}
	if _, err := f.Write(make([]byte, (4-n%4)%4)); err != nil {
		return err
	}
	if _, err := f.Write(segment); err != nil {
		return err
	}
	return f.Close()
}
