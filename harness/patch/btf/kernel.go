// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf/btf"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// Kernel is one kernel's image as this route needs it.
type Kernel struct {
	Image Image
	Types Types
	// Dir is the cache entry: include/ with our headers and the image's types.
	Dir string `json:"-"`
	// Key changes whenever anything here does.
	Key string `json:"-"`
}

// ErrNoTypes says that an image does not describe its types.
var ErrNoTypes = errors.New("the image has no .BTF section (CONFIG_DEBUG_INFO_BTF)")

// Tools opens the tool root.
type Tools func(context.Context) (*toolroot.Root, error)

const (
	entryKind  = "btf"
	kernelFile = "kernel.json"
	// format is part of the entries' names: count it up when what is written
	// here changes.
	format = "2"
)

// Open reads kit's image, once for each kit: the rest comes from the cache.
// Errors: ErrNoTypes, *kernels.Lacking without tools.
func Open(ctx context.Context, st *store.Store, tools Tools, kit *kernels.Kit) (*Kernel, error) {
	shims, err := readShims()
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(kit.VMLinux)
	if err != nil {
		return nil, fmt.Errorf("kernel image of %s: %w", kit.Release, err)
	}
	// The image of every kit lies in the cache and never changes; its folder is
	// named by the package's version or by what is in it.
	h := sha256.Sum256(fmt.Appendf(nil, "%s %s %s %s %d %s", format, kit.Release, kit.Version, filepath.Base(kit.Dir), info.Size(), shims.digest))
	name := kit.Release + "-" + hex.EncodeToString(h[:8])
	dir, err := st.Make(ctx, entryKind, name, func(ctx context.Context, dir string) error {
		return fill(ctx, tools, kit, shims, dir)
	})
	if err != nil {
		return nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, kernelFile))
	if err != nil {
		return nil, err
	}
	k := &Kernel{Dir: dir, Key: name}
	if err := json.Unmarshal(text, k); err != nil {
		return nil, fmt.Errorf("cache entry %s: %w", dir, err)
	}
	return k, nil
}

func fill(ctx context.Context, tools Tools, kit *kernels.Kit, shims *shims, dir string) error {
	file, err := elf.Open(kit.VMLinux)
	if err != nil {
		return fmt.Errorf("kernel image of %s: %w", kit.Release, err)
	}
	defer file.Close()
	section := file.Section(".BTF")
	if section == nil {
		return ErrNoTypes
	}
	raw, err := section.Data()
	if err != nil {
		return fmt.Errorf("types of %s: %w", kit.Release, err)
	}
	img, err := ReadImage(file, kit.Release)
	if err != nil {
		return fmt.Errorf("kernel image of %s: %w", kit.Release, err)
	}
	spec, err := btf.LoadSpecFromReader(bytes.NewReader(raw))
	if err != nil {
		return fmt.Errorf("types of %s: %w", kit.Release, err)
	}
	types, err := readTypes(spec, img.Exports, shims.questions)
	if err != nil {
		return fmt.Errorf("types of %s: %w", kit.Release, err)
	}
	include := filepath.Join(dir, "include")
	if err := writeHeaders(include); err != nil {
		return err
	}
	root, err := tools(ctx)
	if err != nil {
		return err
	}
	header, err := dump(ctx, root, raw, dir)
	if err != nil {
		return fmt.Errorf("types of %s: %w", kit.Release, err)
	}
	if err := os.WriteFile(filepath.Join(include, "switchyard", "types.h"), header, 0o644); err != nil {
		return err
	}
	text, err := json.Marshal(Kernel{Image: *img, Types: *types})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, kernelFile), text, 0o644)
}

// dump has bpftool write the types as C. pahole, the other program that can,
// gives wrong offsets for some structs (struct net of 7.3, pglist_data of
// 6.12); bpftool's were right for all that BTF describes.
func dump(ctx context.Context, root *toolroot.Root, raw []byte, dir string) ([]byte, error) {
	work, err := os.MkdirTemp(dir, "dump")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	if err := os.WriteFile(filepath.Join(work, "btf"), raw, 0o644); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	var said toolroot.Log
	err = root.Run(ctx, toolroot.Job{
		Argv:   []string{"bpftool", "btf", "dump", "file", inside + "/btf", "format", "c"},
		Stdout: &out, Stderr: &said,
		Mounts: []toolroot.Bind{{Host: work, Inside: inside}},
	})
	if err != nil {
		return nil, fmt.Errorf("bpftool btf dump: %w\n%s", err, toolroot.LastWords(said.String()))
	}
	return out.Bytes(), nil
}
