// SPDX-License-Identifier: Apache-2.0

package images

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/u-root/u-root/pkg/cpio"
	"golang.org/x/mod/modfile"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/debian"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// TestCommandsAreTools: the base image's commands are tool lines of go.mod,
// or `go mod tidy` would drop what they need.
func TestCommandsAreTools(t *testing.T) {
	text, err := os.ReadFile("../go.mod")
	require.NoError(t, err)
	mod, err := modfile.Parse("go.mod", text, nil)
	require.NoError(t, err)
	var tools []string
	for _, tool := range mod.Tool {
		if name, ok := strings.CutPrefix(tool.Path, commandsPath); ok {
			tools = append(tools, name)
		}
	}
	require.ElementsMatch(t, commands, tools)
}

// TestCallersSettings: a guest's CPU may be an old one, whatever the caller
// builds for.
func TestCallersSettings(t *testing.T) {
	t.Setenv("GOAMD64", "v4")
	t.Setenv("GOARCH", "arm64")
	got, err := goCommand(t.Context(), "", "env", "GOAMD64", "GOARCH")
	require.NoError(t, err)
	require.Equal(t, "v1\namd64", got)
}

func TestParents(t *testing.T) {
	require.Equal(t, []string{"a", "a/b"}, parents("a/b/c"))
	require.Empty(t, parents("c"))
}

// archives reads an image back: the files of each cpio archive in it.
func archives(t *testing.T, image string) []map[string]cpio.Record {
	t.Helper()
	raw, err := os.ReadFile(image)
	require.NoError(t, err)
	var all []map[string]cpio.Record
	for len(raw) > 0 {
		files := map[string]cpio.Record{}
		in := bytes.NewReader(raw)
		r := cpio.Newc.Reader(in)
		for {
			rec, err := r.ReadRecord()
			if errors.Is(err, io.EOF) {
				break
			}
			require.NoError(t, err)
			files[rec.Name] = rec
		}
		all = append(all, files)
		// The next archive begins at a multiple of four behind the trailer.
		end := bytes.Index(raw, []byte("TRAILER!!!"))
		require.GreaterOrEqual(t, end, 0)
		raw = bytes.TrimLeft(raw[end+len("TRAILER!!!"):], "\x00")
	}
	return all
}

// TestImage builds the image of each kernel and reads it back: u-root's
// commands, the agent, the modules of its channel in load order, a case's own
// file; the same without the commands. A second build assembles nothing.
func TestImage(t *testing.T) {
	st, err := store.Open("")
	require.NoError(t, err)
	archive, err := debian.NewArchive(st, nil)
	require.NoError(t, err)
	catalogue := &kernels.Catalogue{Providers: []kernels.Provider{debian.NewProvider(archive)}}
	found, err := catalogue.Select(t.Context(), "5.10,6.1,6.12")
	if kernels.IsLacking(err) {
		t.Skip(err) // neither a network nor a cache
	}
	require.NoError(t, err)
	for _, c := range found {
		kit, err := catalogue.Get(t.Context(), c)
		require.NoError(t, err)
		spec := Spec{Kit: kit, Commands: true, Files: []File{{Path: "etc/case/file", Mode: 0o600, Content: []byte("content of " + t.Name())}}}
		image, err := spec.Build(t.Context(), st)
		require.NoError(t, err)
		parts := archives(t, image.Path)
		require.Len(t, parts, 2)
		base, segment := parts[0], parts[1]
		for _, c := range commands {
			require.Contains(t, base, "bbin/"+c)
		}
		require.Contains(t, base, "init")
		require.Contains(t, segment, "bin/guestd")
		require.Contains(t, segment, "etc/case")
		require.Equal(t, "content of "+t.Name(), text(t, segment["etc/case/file"]))

		// Every module on the list is there, after those that it needs.
		loaded := map[string]bool{}
		for _, line := range strings.Fields(text(t, segment[ModulesList])) {
			rec, ok := segment[strings.TrimPrefix(line, "/")]
			require.True(t, ok, line)
			info, err := kernels.ModInfo([]byte(text(t, rec)))
			require.NoError(t, err)
			for _, needs := range info["depends"] {
				for _, n := range strings.Split(needs, ",") {
					require.True(t, n == "" || loaded[n], "%s before %s", line, n)
				}
			}
			loaded[strings.ReplaceAll(strings.TrimSuffix(path.Base(line), ".ko"), "-", "_")] = true
		}
		for _, m := range bootModules {
			there := false
			for _, name := range m.names {
				_, builtin, err := kit.ModuleFiles(name)
				there = there || loaded[strings.ReplaceAll(name, "-", "_")] || (err == nil && len(builtin) > 0)
			}
			require.True(t, there, m.names)
		}

		before, err := os.Stat(image.Path)
		require.NoError(t, err)
		again, err := spec.Build(t.Context(), st)
		require.NoError(t, err)
		require.Equal(t, image, again)
		after, err := os.Stat(again.Path)
		require.NoError(t, err)
		require.True(t, os.SameFile(before, after), "assembled a second time though nothing changed")

		spec.Commands = false
		bare, err := spec.Build(t.Context(), st)
		require.NoError(t, err)
		parts = archives(t, bare.Path)
		require.Len(t, parts, 1)
		require.Equal(t, len(segment), len(parts[0]))
		require.NoError(t, os.RemoveAll(filepath.Dir(image.Path)))
		require.NoError(t, os.RemoveAll(filepath.Dir(bare.Path)))
	}
}

func text(t *testing.T, r cpio.Record) string {
	t.Helper()
	content, err := io.ReadAll(io.NewSectionReader(r, 0, int64(r.FileSize)))
	require.NoError(t, err)
	return string(content)
}
