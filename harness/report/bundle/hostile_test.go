// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

// small are limits that a test can reach.
var small = Limits{
	Archive: 1 << 20, Total: 4 << 20, Entry: 2 << 20, Manifest: 64 << 10, Entries: 50,
	Ratio: 100, RatioFree: 256 << 10, Window: 8 << 20, Names: 100, Depth: 6, VCPUs: 8, MemMiB: 1024,
}

// forged is an archive as a stranger may make one.
type forged struct {
	manifest map[string]any
	// raw is in the place of the manifest, if set.
	raw     []byte
	entries []forgedEntry
	// undescribed leaves the entries out of the manifest's files.
	undescribed bool
	cut         int // bytes to leave out at the end
	plain       bool
}

type forgedEntry struct {
	header  tar.Header
	content []byte
}

func file(name, content string) forgedEntry {
	return forgedEntry{tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, []byte(content)}
}

func (f forged) bytes(t testing.TB) []byte {
	t.Helper()
	files := []map[string]any{}
	for _, e := range f.entries {
		sum := sha256.Sum256(e.content)
		files = append(files, map[string]any{"name": e.header.Name, "size": len(e.content), "sha256": hex.EncodeToString(sum[:])})
	}
	m := map[string]any{
		"schema": Schema, "kernel": map[string]any{"release": "6.1.0-1-amd64"}, "expected": "complete",
		"a field of a later version": []int{1},
	}
	if !f.undescribed {
		m["files"] = files
	}
	for k, v := range f.manifest {
		m[k] = v
	}
	text, err := json.Marshal(m)
	require.NoError(t, err)
	if f.raw != nil {
		text = f.raw
	}
	var out, packed bytes.Buffer
	w := tar.NewWriter(&out)
	for _, e := range append([]forgedEntry{file(ManifestFile, string(text))}, f.entries...) {
		if e.header.Typeflag == tar.TypeReg {
			e.header.Size = int64(len(e.content))
		}
		require.NoError(t, w.WriteHeader(&e.header))
		if e.header.Typeflag == tar.TypeReg {
			_, err := w.Write(e.content)
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	if f.plain {
		return out.Bytes()
	}
	z, err := zstd.NewWriter(&packed)
	require.NoError(t, err)
	_, err = z.Write(out.Bytes()[:out.Len()-f.cut])
	require.NoError(t, err)
	require.NoError(t, z.Close())
	return packed.Bytes()
}

// open opens an archive, and holds the outcome to what must be true of any:
// nothing lies outside of the folder, nothing in it is anything but a file or a
// folder, and together it is within the limits.
func open(t testing.TB, archive []byte) (*Opened, error) {
	t.Helper()
	top, err := os.MkdirTemp("", "hostile")
	require.NoError(t, err)
	defer os.RemoveAll(top)
	path, dir := filepath.Join(top, "b"), filepath.Join(top, "in")
	require.NoError(t, os.WriteFile(path, archive, 0o644))
	require.NoError(t, os.Mkdir(dir, 0o755))
	o, openErr := Open(path, dir, small)
	beside, err := os.ReadDir(top)
	require.NoError(t, err)
	require.Len(t, beside, 2, "something lies beside the folder")
	total := int64(0)
	require.NoError(t, filepath.Walk(dir, func(_ string, info os.FileInfo, err error) error {
		require.NoError(t, err)
		require.True(t, info.IsDir() || info.Mode().IsRegular(), "%s: %s", info.Name(), info.Mode())
		if info.Mode().IsRegular() {
			require.Zero(t, info.Mode().Perm()&0o111, "%s may be executed", info.Name())
			total += info.Size()
		}
		return nil
	}))
	require.LessOrEqual(t, total, small.Total+small.Manifest)
	return o, openErr
}

// TestHostile: what a stranger may have put into an archive, and the sentence
// for it.
func TestHostile(t *testing.T) {
	mod := func(fields map[string]any) map[string]any {
		m := map[string]any{"name": "fix", "file": "modules/fix.ko"}
		for k, v := range fields {
			m[k] = v
		}
		return map[string]any{"patches": []any{m}}
	}
	ko := []forgedEntry{file("modules/fix.ko", "x")}
	link := func(kind byte, name, to string) forgedEntry {
		return forgedEntry{tar.Header{Typeflag: kind, Name: name, Linkname: to}, nil}
	}
	noise := func(n int) string { // does not pack
		var b strings.Builder
		for sum := sha256.Sum256(nil); b.Len() < n; sum = sha256.Sum256(sum[:]) {
			b.Write(sum[:])
		}
		return b.String()[:n]
	}
	many := func(n int) (all []forgedEntry) {
		for i := range n {
			all = append(all, file("logs/"+strings.Repeat("a", i+1), "x"))
		}
		return all
	}
	for what, c := range map[string]struct {
		forged
		says string // "": it is fine
	}{
		"fine":                       {forged{entries: ko, manifest: mod(nil)}, ""},
		"plain tar":                  {forged{plain: true}, "no whole tar archive packed with zstd"},
		"cut in the tar":             {forged{entries: []forgedEntry{file("logs/a", noise(9000))}, cut: 6000}, "no whole tar archive"},
		"cut between two":            {forged{raw: []byte(`{"schema":"switchyard.bundle/1","kernel":{"release":"6.1.1"},"expected":"complete","files":[{"name":"logs/a","size":1,"sha256":"` + zeros + `"}]}`)}, "it was cut off"},
		"no description":             {forged{raw: []byte(`]`)}, "bundle.json: invalid"},
		"of another schema":          {forged{manifest: map[string]any{"schema": "switchyard.bundle/2"}}, `of schema "switchyard.bundle/2"`},
		"a field of another type":    {forged{manifest: map[string]any{"kernel": 7}}, "bundle.json"},
		"big description":            {forged{raw: []byte(`{"x":"` + noise(70000) + `"}`)}, "bytes, and 65536 are read"},
		"up":                         {forged{entries: []forgedEntry{file("../escaped", "x")}}, "no name of an entry"},
		"up inside":                  {forged{entries: []forgedEntry{file("logs/../../escaped", "x")}}, "no name of an entry"},
		"absolute":                   {forged{entries: []forgedEntry{file("/tmp/escaped", "x")}}, "no name of an entry"},
		"dot":                        {forged{entries: []forgedEntry{file("./logs/a", "x")}}, "no name of an entry"},
		"backslash":                  {forged{entries: []forgedEntry{file(`logs\a`, "x")}}, "no name of an entry"},
		"control":                    {forged{entries: []forgedEntry{file("logs/\x1b[2J", "x")}}, "no name of an entry"},
		"newline":                    {forged{entries: []forgedEntry{file("logs/a\nb", "x")}}, "no name of an entry"},
		"long name":                  {forged{entries: []forgedEntry{file("logs/"+strings.Repeat("a", 200), "x")}}, "name has 205 bytes"},
		"deep":                       {forged{entries: []forgedEntry{file("a/b/c/d/e/f/g/h", "x")}}, "deeper than"},
		"twice":                      {forged{entries: []forgedEntry{file("logs/a", "x"), file("logs/a", "y")}}, "twice"},
		"description twice":          {forged{entries: []forgedEntry{file(ManifestFile, "{}")}}, "twice"},
		"file and folder":            {forged{entries: []forgedEntry{file("logs", "x"), file("logs/a", "y")}}, "logs"},
		"symbolic link":              {forged{entries: []forgedEntry{link(tar.TypeSymlink, "logs/a", "/etc/passwd")}}, "no plain file"},
		"link to a folder":           {forged{entries: []forgedEntry{link(tar.TypeSymlink, "a", "/tmp"), file("a/b", "x")}}, "no plain file"},
		"hard link":                  {forged{entries: []forgedEntry{link(tar.TypeLink, "logs/a", "/etc/passwd")}}, "no plain file"},
		"device":                     {forged{entries: []forgedEntry{{tar.Header{Typeflag: tar.TypeBlock, Name: "logs/a", Devmajor: 8}, nil}}}, "no plain file"},
		"pipe":                       {forged{entries: []forgedEntry{{tar.Header{Typeflag: tar.TypeFifo, Name: "logs/a"}, nil}}}, "no plain file"},
		"folder":                     {forged{entries: []forgedEntry{{tar.Header{Typeflag: tar.TypeDir, Name: "logs"}, nil}}}, "no plain file"},
		"undescribed":                {forged{entries: ko, undescribed: true}, "does not name it"},
		"too many":                   {forged{entries: many(51)}, "51 entries"},
		"too big a file":             {forged{entries: []forgedEntry{file("logs/a", strings.Repeat("x", 3<<20))}}, "3145728 bytes, and 2097152 may be"},
		"too big together":           {forged{entries: []forgedEntry{file("logs/a", strings.Repeat("x", 2<<20)), file("logs/b", strings.Repeat("x", 2<<20)), file("logs/c", "x")}}, "more than 4194304 bytes"},
		"a bomb":                     {forged{entries: []forgedEntry{file("logs/a", strings.Repeat("x", 2<<20))}}, "more than 100 times its size"},
		"a description of a bomb":    {forged{raw: []byte(`{"schema":"switchyard.bundle/1","kernel":{"release":"6.1.1"},"expected":"complete","files":[{"name":"a","size":9000000000000000000,"sha256":"` + zeros + `"},{"name":"b","size":9000000000000000000,"sha256":"` + zeros + `"}]}`)}, "bytes, and 2097152 may be"},
		"a size below nothing":       {forged{raw: []byte(`{"schema":"switchyard.bundle/1","kernel":{"release":"6.1.1"},"expected":"complete","files":[{"name":"a","size":-1,"sha256":"` + zeros + `"}]}`)}, "-1 bytes"},
		"another sum":                {forged{raw: []byte(`{"schema":"switchyard.bundle/1","kernel":{"release":"6.1.1"},"expected":"complete","files":[{"name":"logs/a","size":1,"sha256":"` + zeros + `"}]}`), entries: []forgedEntry{file("logs/a", "x")}}, "is not what it was"},
		"another size":               {forged{raw: []byte(`{"schema":"switchyard.bundle/1","kernel":{"release":"6.1.1"},"expected":"complete","files":[{"name":"logs/a","size":2,"sha256":"` + zeros + `"}]}`), entries: []forgedEntry{file("logs/a", "x")}}, "described as having 2"},
		"a path for a release":       {forged{manifest: map[string]any{"kernel": map[string]any{"release": "/dev/zero"}}}, "no kernel's release"},
		"a word for a release":       {forged{manifest: map[string]any{"kernel": map[string]any{"release": "all"}}}, "no kernel's release"},
		"a list for a release":       {forged{manifest: map[string]any{"kernel": map[string]any{"release": "6.1.1,/etc"}}}, "no kernel's release"},
		"too big a machine":          {forged{manifest: map[string]any{"machine": map[string]any{"mem_mib": 1 << 20}}}, "1048576 MiB"},
		"too many vCPUs":             {forged{manifest: map[string]any{"machine": map[string]any{"vcpus": 4096}}}, "4096 vCPUs"},
		"a stall in a year":          {forged{manifest: map[string]any{"stall_after_ns": int64(365 * 24 * 3600 * 1e9)}}, "stall after"},
		"no verdict to expect":       {forged{manifest: map[string]any{"expected": "\x1b[2J"}}, "no verdict"},
		"a seed below nothing":       {forged{manifest: map[string]any{"deterministic": map[string]any{"seed": -1}}}, "seed -1"},
		"a module elsewhere":         {forged{manifest: mod(map[string]any{"file": "/lib/modules/x.ko"}), entries: ko}, "no entry for one"},
		"a module that is a log":     {forged{manifest: mod(map[string]any{"file": "logs/a"}), entries: []forgedEntry{file("logs/a", "x")}}, "no entry for one"},
		"a module's name a path":     {forged{manifest: mod(map[string]any{"name": "../../x"}), entries: ko}, "no module's name"},
		"a timer without a module":   {forged{manifest: map[string]any{"timer": map[string]any{"name": "pulse"}}}, "the timer pulse has no module"},
		"a timer that is not there":  {forged{manifest: map[string]any{"timer": map[string]any{"name": "pulse", "file": "modules/pulse.ko"}}}, "pulse.ko"},
		"a timer of a module's name": {forged{entries: []forgedEntry{file("modules/fix.ko", "x")}, manifest: map[string]any{"patches": []any{map[string]any{"name": "fix"}}, "timer": map[string]any{"name": "fix", "file": "modules/fix.ko"}}}, "two modules"},
		"two modules of a name":      {forged{manifest: map[string]any{"patches": []any{map[string]any{"name": "fix"}}, "with": []any{map[string]any{"name": "fix"}}}}, "two modules"},
		"a source elsewhere":         {forged{manifest: mod(map[string]any{"source": map[string]any{"kind": "folder", "open": "/home"}}), entries: ko}, "no entry for one"},
		"a source up":                {forged{manifest: mod(map[string]any{"source": map[string]any{"kind": "folder", "open": "sources/00/../../.."}}), entries: ko}, "no entry for one"},
		"a source that is all":       {forged{manifest: mod(map[string]any{"source": map[string]any{"kind": "folder", "open": "sources/00"}}), entries: append(slices.Clone(ko), file("sources/00/a.c", "x"))}, "no entry for one"},
		"an instrument, a path":      {forged{manifest: mod(map[string]any{"source": map[string]any{"kind": "instrument", "open": "/etc/shadow"}}), entries: ko}, "no entry for one"},
		"an instrument":              {forged{manifest: mod(map[string]any{"source": map[string]any{"kind": "instrument", "open": "count:vfs_read"}}), entries: ko}, ""},
		"a probe of no expression":   {forged{manifest: mod(map[string]any{"probes": []any{map[string]any{"read": "/proc/x", "before": "(", "after": "a"}}}), entries: ko}, "expression"},
		"a load of no name":          {forged{manifest: map[string]any{"loads": []any{map[string]any{"name": "rm -rf"}}}}, "no load is called"},
		"a load of a million":        {forged{manifest: map[string]any{"loads": []any{map[string]any{"name": "fork", "n": 1000000}}}}, "1000000 workers"},
		"a kit.json":                 {forged{entries: []forgedEntry{file("kernel/kit.json", "{}")}}, "no part of a kernel"},
		"a kernel tree":              {forged{entries: []forgedEntry{file("kernel/Makefile", "all:")}}, "no part of a kernel"},
		"a kernel":                   {forged{entries: []forgedEntry{file("kernel/config", "x"), file("kernel/lib/modules/6.1.1/kernel/virtio.ko.xz", "x"), file("kernel/lib/modules/6.1.1/modules.builtin", "x"), file("kernel/vmlinux", "x")}}, ""},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := open(t, c.bytes(t))
			if c.says == "" {
				require.NoError(t, err)
				return
			}
			var bad *Error
			require.ErrorAs(t, err, &bad)
			require.ErrorContains(t, err, c.says)
			require.NotContains(t, err.Error(), "\x1b", "it draws on the terminal")
		})
	}
}

// TestNotAFile: what is no archive at all.
func TestNotAFile(t *testing.T) {
	for what, path := range map[string]string{"nothing": filepath.Join(t.TempDir(), "x"), "a folder": t.TempDir(), "a device": "/dev/zero"} {
		t.Run(what, func(t *testing.T) {
			_, err := Open(path, t.TempDir(), small)
			var bad *Error
			require.ErrorAs(t, err, &bad)
		})
	}
	big := filepath.Join(t.TempDir(), "big")
	require.NoError(t, os.WriteFile(big, nil, 0o644))
	require.NoError(t, os.Truncate(big, small.Archive+1))
	_, err := Open(big, t.TempDir(), small)
	require.ErrorContains(t, err, "1048576 are read")
}

// FuzzOpen: whatever a file holds, opening it ends, within the limits and
// within its folder.
func FuzzOpen(f *testing.F) {
	for _, c := range []forged{
		{},
		{entries: []forgedEntry{file("modules/fix.ko", "x"), file("sources/00/fix/a.c", "int x;")}, manifest: map[string]any{"patches": []any{map[string]any{"name": "fix", "file": "modules/fix.ko", "source": map[string]any{"kind": "folder", "open": "sources/00/fix"}}}}},
		{entries: []forgedEntry{file("../x", "x")}},
		{plain: true},
	} {
		f.Add(c.bytes(f), false)
		c.plain = true
		f.Add(c.bytes(f), true) // the fuzzer cannot mend zstd's sums
	}
	f.Fuzz(func(t *testing.T, archive []byte, pack bool) {
		if pack {
			z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
			require.NoError(t, err)
			archive = z.EncodeAll(archive, nil)
		}
		_, _ = open(t, archive)
	})
}

// TestSparse: a file of a few bytes that says that it is a million.
func TestSparse(t *testing.T) {
	const size = 1 << 20
	zeros := sha256.Sum256(make([]byte, size))
	text, err := json.Marshal(map[string]any{
		"schema": Schema, "kernel": map[string]any{"release": "6.1.0-1-amd64"}, "expected": "complete",
		"files": []any{map[string]any{"name": "logs/a", "size": size, "sha256": hex.EncodeToString(zeros[:])}},
	})
	require.NoError(t, err)
	layout := make([]byte, 512) // one piece of no bytes, at the start
	copy(layout, "1\n0\n0\n")
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	require.NoError(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: ManifestFile, Size: int64(len(text))}))
	_, err = w.Write(text)
	require.NoError(t, err)
	require.NoError(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "logs/x", Size: int64(len(layout)), PAXRecords: map[string]string{
		"XXX.sparse.major": "1", "XXX.sparse.minor": "0", "XXX.sparse.name": "logs/a", "XXX.sparse.realsize": "1048576",
	}}))
	_, err = w.Write(layout)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	// The writer writes none; the reader reads them.
	archive := bytes.ReplaceAll(out.Bytes(), []byte("XXX.sparse"), []byte("GNU.sparse"))
	r := tar.NewReader(bytes.NewReader(archive))
	for _, want := range []int64{int64(len(text)), size} {
		h, err := r.Next()
		require.NoError(t, err)
		require.Equal(t, want, h.Size, "the archive is not what it is to be")
	}
	z, err := zstd.NewWriter(nil)
	require.NoError(t, err)
	_, err = open(t, z.EncodeAll(archive, nil))
	require.ErrorContains(t, err, "no plain file")
}
