// SPDX-License-Identifier: Apache-2.0

package source

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/debian"
	"github.com/switchyard-project/switchyard/kernels/store"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// tinyTree is a tree in which everything is as in a kernel's but small: make's
// targets, the lines it prints, .cmd files behind their targets, a Kconfig, an
// image that QEMU could start. It is built by the real tools in the real root.
var tinyTree = map[string]string{
	"Kconfig":                "config KNOWN\n\tbool \"known\"\n\tdepends on NEVER\n\thelp\n\t  depends on nothing\n",
	"scripts/Makefile.build": "",
	"arch/x86/Makefile":      "",
	"init/main.c":            "asm(\".section .note.Xen,\\\"a\\\",@note\\n.long 4,4,18\\n.asciz \\\"Xen\\\"\\n.long 0x1000000\\n.previous\");\nvoid _start(void) {}\n",
	"fs/namei.c":             "int namei = 1;\n",
	"kernel/fork.c":          "int fork_ = 1;\n",
	"Makefile": `# SPDX-License-Identifier: GPL-2.0
VERSION = 6
PATCHLEVEL = 6
SUBLEVEL = 99
EXTRAVERSION =
S := $(CURDIR)
OBJECTS := $(addprefix $(O)/,init/main.o fs/namei.o kernel/fork.o)
release = $(shell sed -n 's/^CONFIG_LOCALVERSION="\(.*\)"/6.6.99\1/p' $(O)/.config)
allnoconfig:
	@grep -v DROPPED $(KCONFIG_ALLCONFIG) > $(O)/.config
olddefconfig: ;
prepare:
	@mkdir -p $(O)/include/config && echo '$(release)' > $(O)/include/config/kernel.release
$(O)/%.o: $(S)/%.c $(O)/.config
	@mkdir -p $(@D)
	@echo '  CC      $*.o'
	@$(CC) -fno-pie -c -o $@ $<
	@echo 'cmd' > $(@D)/.$(@F).cmd
vmlinux: $(O)/vmlinux
$(O)/vmlinux: $(OBJECTS)
	@echo '  LD      vmlinux'
	@ld -o $@ $^ && cp $@ $(O)/vmlinux.o && nm $@ > $(O)/System.map
bzImage: vmlinux
	@mkdir -p $(O)/arch/x86/boot && cp $(O)/vmlinux $(O)/arch/x86/boot/bzImage
modules: ;
modules_install:
	@mkdir -p $(INSTALL_MOD_PATH)/lib/modules/$(release)
	@touch $(INSTALL_MOD_PATH)/lib/modules/$(release)/modules.builtin
	@ln -s $(O) $(INSTALL_MOD_PATH)/lib/modules/$(release)/build
`,
}

// plant writes the tiny tree, with changes, to a new folder; a change to ""
// leaves the file out.
func plant(t *testing.T, changes map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	for name, text := range tinyTree {
		if _, changed := changes[name]; !changed {
			write(name, text)
		}
	}
	for name, text := range changes {
		if text != "" {
			write(name, text)
		}
	}
	return dir
}

// pack makes a release tarball of a tree.
func pack(t *testing.T, tree, file string) {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	require.NoError(t, filepath.WalkDir(tree, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(tree, path)
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, w.WriteHeader(&tar.Header{Name: "linux/" + rel, Mode: 0o644, Size: int64(len(text))}))
		_, err = w.Write(text)
		return err
	}))
	require.NoError(t, w.Close())
	require.NoError(t, z.Close())
	require.NoError(t, os.WriteFile(file, b.Bytes(), 0o644))
}

// realRoot is the tool root of the shared cache; a machine that cannot have one
// skips what needs it.
func realRoot(t *testing.T) *toolroot.Root {
	t.Helper()
	st, err := store.Open("")
	require.NoError(t, err)
	ar, err := debian.NewArchive(st, nil)
	require.NoError(t, err)
	r, err := toolroot.Open(t.Context(), st, ar)
	if kernels.IsLacking(err) {
		t.Skip(err)
	}
	require.NoError(t, err)
	return r
}

// told is what a provider told.
type told struct {
	mu    sync.Mutex
	lines []string
	meter [][2]int64
}

// provider builds in a cache of its own with the real tools.
func provider(t *testing.T) (*Provider, *told) {
	t.Helper()
	root := realRoot(t)
	st, err := store.Open(t.TempDir())
	require.NoError(t, err)
	said := &told{}
	return &Provider{
		Store: st, Root: func(context.Context) (*toolroot.Root, error) { return root, nil }, Jobs: 2,
		Releases: "http://127.0.0.1:1/nowhere",
		Objects: func(_ string, done, total int64) {
			said.mu.Lock()
			defer said.mu.Unlock()
			said.meter = append(said.meter, [2]int64{done, total})
		},
		Note: func(text string) {
			said.mu.Lock()
			defer said.mu.Unlock()
			said.lines = append(said.lines, text)
		},
		Waiting: func(what string) {
			said.mu.Lock()
			defer said.mu.Unlock()
			said.lines = append(said.lines, "waiting for "+what)
		},
	}, said
}

func (s *told) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, "\n")
}
