// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/kernels"
)

func TestBuild(t *testing.T) {
	p, said := provider(t)
	p.Mirror = t.TempDir()
	pack(t, plant(t, nil), filepath.Join(p.Mirror, "linux-6.6.99.tar.gz"))

	k, err := p.Build(t.Context(), Spec{Version: "6.6"})
	require.NoError(t, err)
	assert.Equal(t, "6.6.99", k.Release)
	assert.Regexp(t, `^6\.6\.99-[0-9a-f]{12}$`, k.Version)
	assert.Equal(t, "y", k.ConfigValue("CONFIG_LIVEPATCH"))
	for _, path := range []string{
		k.VMLinux, k.BZImage, k.ConfigFile, k.SystemMap, k.ModulesDir, k.SourceDir + "/fs/namei.c", k.BuildDir + "/fs/namei.o",
		k.BuildDir + "/fs/.namei.o.cmd", k.BuildDir + "/vmlinux",
	} {
		assert.FileExists(t, strings.Replace(path, k.ModulesDir, k.ModulesDir+"/modules.builtin", 1))
	}
	assert.NoFileExists(t, k.BuildDir+"/vmlinux.o", "nothing is built from it again")
	_, err = os.Lstat(k.ModulesDir + "/build")
	assert.ErrorIs(t, err, os.ErrNotExist, "it leads to nowhere outside the tool root")
	assert.Equal(t, []kernels.Mount{{Host: k.SourceDir, Inside: "/usr/src/linux"}, {Host: k.BuildDir, Inside: "/usr/src/build"}}, k.Mounts)

	require.NotEmpty(t, said.meter)
	assert.Equal(t, [2]int64{0, 3}, said.meter[0], "three objects, before the first")
	assert.Equal(t, [2]int64{3, 3}, said.meter[len(said.meter)-1])
	left, err := os.ReadDir(filepath.Join(p.Store.Dir, "builds"))
	require.NoError(t, err)
	assert.Empty(t, left, "what was built lies in the kit")

	have, err := p.List(t.Context())
	require.NoError(t, err)
	require.Len(t, have, 1, "the tarball is that kernel")
	assert.True(t, have[0].Cached)
	assert.True(t, have[0].FromSource)
	again, err := p.Get(t.Context(), have[0])
	require.NoError(t, err)
	assert.Equal(t, k, again)
}

// A kernel with a name, and what it is built from, is another one than the
// release, and the release is what the plain version means.
func TestNamesKeepKernelsApart(t *testing.T) {
	p, _ := provider(t)
	p.Mirror = t.TempDir()
	tree := plant(t, nil)
	pack(t, tree, filepath.Join(p.Mirror, "linux-6.6.99.tar.gz"))
	cat := &kernels.Catalogue{Providers: []kernels.Provider{p}}
	means := func(selector string) kernels.Candidate {
		t.Helper()
		found, err := cat.Select(t.Context(), selector)
		require.NoError(t, err)
		require.Len(t, found, 1)
		return found[0]
	}
	debug, err := p.Build(t.Context(), Spec{Version: "6.6", Fragments: []string{"no-ibt"}})
	require.NoError(t, err)
	assert.Equal(t, "6.6.99+no-ibt", debug.Release)
	assert.False(t, means("6.6").Cached, "one with a name is no plain 6.6: that is still to be built")
	assert.Equal(t, debug.Version, means("6.6+no-ibt").Version)

	plain, err := p.Get(t.Context(), means("6.6"))
	require.NoError(t, err)
	assert.Equal(t, "6.6.99", plain.Release)
	assert.Equal(t, plain.Version, means("6.6").Version)

	mine, err := p.Build(t.Context(), Spec{Tree: tree, Label: "mine"})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(tree, "fs/namei.c"), []byte("int namei = 2;\n"), 0o644))
	changed, err := p.Build(t.Context(), Spec{Tree: tree, Label: "mine"})
	require.NoError(t, err)
	assert.NotEqual(t, mine.Version, changed.Version, "a change makes another kernel")
	assert.Equal(t, changed.Version, means("6.6+mine").Version, "the later build of a name is meant")
	assert.Equal(t, plain.Version, means("6.6").Version)
	assert.Equal(t, plain.Version, means("6.6.99").Version)
	assert.Equal(t, mine.Version, means(mine.Version[:strings.Index(mine.Version, "-")+13]+"+mine").Version, "any build can be named")
}

func TestDefaultLabel(t *testing.T) {
	release := &origin{title: "linux-6.6.3.tar.xz", release: true}
	for want, pl := range map[string]*plan{
		"":                  {origin: release},
		"debug":             {origin: release, spec: Spec{Fragments: []string{"debug"}}},
		"debug-mine":        {origin: release, spec: Spec{Fragments: []string{"debug", "/x/mine.config"}}},
		"config-6.6":        {origin: release, spec: Spec{Config: "/boot/config-6.6"}},
		"linux":             {origin: &origin{title: "/home/me/linux"}, spec: Spec{Tree: "/home/me/linux"}},
		"my-snapshot-debug": {origin: &origin{title: "my snapshot.tar.gz"}, spec: Spec{Tarball: "x", Fragments: []string{"debug"}}},
		"local":             {origin: &origin{title: "/ä/ö"}, spec: Spec{Tree: "/ä/ö"}},
	} {
		got := pl.defaultLabel()
		assert.Equal(t, want, got)
		if got != "" {
			assert.NoError(t, checkLabel(got))
		}
	}
}

// Each kind of bad input is one line that says what is wrong.
func TestBadInput(t *testing.T) {
	p, _ := provider(t)
	p.Mirror = t.TempDir()
	good := plant(t, nil)
	file := func(name, text string) string {
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		return path
	}
	tarball := func(name, tree string) string {
		path := filepath.Join(t.TempDir(), name)
		pack(t, tree, path)
		return path
	}
	forged := tarball("linux-6.6.99.tar.gz", good)
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(forged), "sha256sums.txt"),
		fmt.Appendf(nil, "%064d  linux-6.6.99.tar.gz\n", 1), 0o644))
	const configured = "CONFIG_PVH=y\n"
	for name, c := range map[string]struct {
		spec Spec
		want string
	}{
		"nothing":                  {Spec{}, "say what to build"},
		"both":                     {Spec{Tree: good, Tarball: "x"}, "one of them"},
		"no such version":          {Spec{Version: "6.5"}, "no release tarball"},
		"no such tree":             {Spec{Tree: "/nonexistent"}, "no such file"},
		"tree is a file":           {Spec{Tree: file("x", "x")}, "-tarball"},
		"tree is no kernel":        {Spec{Tree: t.TempDir()}, "no kernel source tree"},
		"a program's tree":         {Spec{Tree: plant(t, map[string]string{"Makefile": "all:\n"})}, "kernel's version"},
		"built in":                 {Spec{Tree: plant(t, map[string]string{".config": "CONFIG_X=y\n"})}, "make mrproper"},
		"another version":          {Spec{Tree: good, Version: "6.7"}, "it is kernel 6.6.99"},
		"no tarball":               {Spec{Tarball: file("linux-6.6.99.tar.xz", "no tarball")}, "no tarball, or a damaged one"},
		"tarball of something":     {Spec{Tarball: tarball("x.tar.gz", plant(t, map[string]string{"Kconfig": ""}))}, "no kernel source tree"},
		"tarball is a folder":      {Spec{Tarball: good}, "-tree"},
		"wrong checksum":           {Spec{Tarball: forged}, "its SHA-256 is"},
		"label":                    {Spec{Tree: good, Label: "a b/c"}, "letters, digits"},
		"label too long":           {Spec{Tree: good, Label: strings.Repeat("x", 33)}, "up to 32"},
		"no such fragment":         {Spec{Tree: good, Fragments: []string{"nonsense"}}, "none of ours has that name: conntrack, debug"},
		"fragment is no config":    {Spec{Tree: good, Fragments: []string{file("x", "hello\n")}}, "is no option"},
		"empty fragment":           {Spec{Tree: good, Fragments: []string{file("x", "# nothing\n")}}, "sets no option"},
		"config is no config":      {Spec{Tree: good, Config: file("x", "root:x:0:0\n")}, "no kernel config"},
		"config without livepatch": {Spec{Tree: good, Config: file("x", configured)}, "CONFIG_LIVEPATCH is not set in it (live patches), and neither is what that needs: CONFIG_MODULES=y, CONFIG_SYSFS=y"},
		"how to set it":            {Spec{Tree: good, Config: file("x", configured)}, "`-fragment livepatch`"},
		"config without a console": {Spec{Tree: good, Config: file("x", configured+"CONFIG_LIVEPATCH=y\n")}, "`-fragment guest`"},
		"no such option":           {Spec{Tree: good, Fragments: []string{file("x", "CONFIG_DROPPED=y\n")}}, "kernel 6.6.99 has no such option"},
		"option with dependencies": {Spec{Tree: plant(t, map[string]string{"Makefile": strings.ReplaceAll(tinyTree["Makefile"], "DROPPED", "KNOWN")}),
			Fragments: []string{file("x", "CONFIG_KNOWN=y\n")}}, "it depends on what is not set (NEVER)"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := p.Build(t.Context(), c.spec)
			var bad *InputError
			require.ErrorAs(t, err, &bad)
			assert.ErrorContains(t, err, c.want)
			assert.NotContains(t, err.Error(), "\n")
		})
	}
}

func TestTreeThatDoesNotBuild(t *testing.T) {
	p, _ := provider(t)
	// Objects do not depend on the config here: see TestRelative.
	tree := plant(t, map[string]string{"fs/namei.c": "int namei = nothing;\n",
		"Makefile": strings.Replace(tinyTree["Makefile"], "$(O)/%.o: $(S)/%.c $(O)/.config", "$(O)/%.o: $(S)/%.c", 1)})
	_, err := p.Build(t.Context(), Spec{Tree: tree, Label: "bad"})
	var broken *BuildError
	require.ErrorAs(t, err, &broken)
	assert.Equal(t, tree+"/fs/namei.c:1:13: error: ‘nothing’ undeclared here (not in a function)", strings.NewReplacer("'nothing'", "‘nothing’").Replace(broken.First))
	log, err := os.ReadFile(broken.Log)
	require.NoError(t, err)
	assert.Contains(t, string(log), "CC      fs/namei.o")
	assert.Contains(t, broken.Error(), "kernel 6.6.99+bad")

	// The tree is mended, and what was built of it is not built again.
	object := filepath.Join(filepath.Dir(broken.Log), "out/init/main.o")
	before, err := os.Stat(object)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(tree+"/fs/namei.c", []byte("int namei = 4;\n"), 0o644))
	k, err := p.Build(t.Context(), Spec{Tree: tree, Label: "bad"})
	require.NoError(t, err)
	after, err := os.Stat(k.BuildDir + "/init/main.o")
	require.NoError(t, err)
	assert.Equal(t, before.ModTime(), after.ModTime())
	left, err := os.ReadDir(filepath.Join(p.Store.Dir, "builds"))
	require.NoError(t, err)
	assert.Empty(t, left, "the build that failed is not left behind")

	// A source tree that was pruned comes back.
	require.NoError(t, os.RemoveAll(k.SourceDir))
	again, err := p.Build(t.Context(), Spec{Tree: tree, Label: "bad"})
	require.NoError(t, err)
	assert.Equal(t, k, again)
	assert.FileExists(t, k.SourceDir+"/fs/namei.c")
}

func TestFirstComplaint(t *testing.T) {
	for want, log := range map[string]string{
		"fs/a.c:3:9: error: no":                   "  CC fs/a.o\nfs/a.c:1:2: warning: x\nfs/a.c:3:9: error: no\nmake[3]: *** [x:243: fs/a.o] Error 1\n",
		"ERROR: modpost: \"x\" [y.ko] undefined!": "ERROR: modpost: \"x\" [y.ko] undefined!\nmake: *** [Makefile:1] Error 2\n",
		"FAILED: load BTF from vmlinux":           "FAILED: load BTF from vmlinux: no\nmake: *** [x] Error 255\n",
		"ld: vmlinux.o: undefined":                "ld: vmlinux.o: undefined\nmake: *** [x] Error 1\n",
		"crypto/Kconfig:1425: can't open file":    "crypto/Kconfig:1425: can't open file \"x\"\nmake[3]: *** [y:77: allnoconfig] Error 1\n",
		"last":                                    "one\nlast\n",
	} {
		assert.True(t, strings.HasPrefix(firstComplaint(log), want), "%q: %q", log, firstComplaint(log))
	}
}

// slowTree builds one object and then waits for the file go.
func slowTree(t *testing.T, gate string) string {
	t.Helper()
	wait := "$(O)/kernel/fork.o: $(O)/fs/namei.o\n\t@mkdir -p $(@D); while ! test -e $(O)/go; do sleep 0.05; done\n\t@echo '  CC      kernel/fork.o'\n\t@$(CC) -c -o $@ $(S)/kernel/fork.c\n"
	return plant(t, map[string]string{"Makefile": tinyTree["Makefile"] + wait, "gate": gate})
}

// stopped builds until the first object stands in the progress file, then has
// it stopped.
func stopped(t *testing.T, p *Provider, s Spec) (dir string, err error) {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	done := make(chan error, 1)
	go func() {
		_, err := p.Build(ctx, s)
		done <- err
	}()
	require.Eventually(t, func() bool {
		found, _ := filepath.Glob(filepath.Join(p.Store.Dir, "builds/*/out/*/.*.o.cmd"))
		if len(found) == 2 { // init/main.o and fs/namei.o
			dir = filepath.Dir(filepath.Dir(found[0]))
		}
		return dir != ""
	}, time.Minute, 20*time.Millisecond)
	cancel(errors.New("the time is up"))
	return dir, <-done
}

func TestResume(t *testing.T) {
	p, _ := provider(t)
	spec := Spec{Tree: slowTree(t, "resume"), Label: "slow"}
	out, err := stopped(t, p, spec)
	var unfinished *kernels.Unfinished
	require.ErrorAs(t, err, &unfinished)
	assert.ErrorContains(t, err, "kernel 6.6.99+slow is not built yet")
	assert.ErrorContains(t, err, "the time is up")
	assert.ErrorContains(t, err, "`switchyard kernels build -tree "+spec.Tree+" -name slow` goes on from there")

	before, err := os.Stat(out + "/fs/namei.o")
	require.NoError(t, err)
	// As if init/main.o had been half written when the machine went down.
	require.NoError(t, os.WriteFile(out+"/init/main.o", []byte("half"), 0o644))
	require.NoError(t, os.WriteFile(out+"/go", nil, 0o644))
	k, err := p.Build(t.Context(), spec)
	if err != nil {
		log, _ := os.ReadFile(filepath.Dir(out) + "/log")
		t.Fatalf("%v\n%s", err, log)
	}
	after, err := os.Stat(k.BuildDir + "/fs/namei.o")
	require.NoError(t, err)
	assert.Equal(t, before.ModTime(), after.ModTime(), "what was whole is not made again")
	half, err := os.ReadFile(k.BuildDir + "/init/main.o")
	require.NoError(t, err)
	assert.NotEqual(t, "half", string(half))
}

// A second process, here another provider of the same cache, waits and shows how
// far the first is.
func TestSecondWaits(t *testing.T) {
	p, _ := provider(t)
	other, said := provider(t)
	other.Store = p.Store
	spec := Spec{Tree: slowTree(t, "wait"), Label: "slow"}
	first := make(chan error, 1)
	go func() {
		_, err := p.Build(t.Context(), spec)
		first <- err
	}()
	var out string
	require.Eventually(t, func() bool {
		found, _ := filepath.Glob(filepath.Join(p.Store.Dir, "builds/*/out/fs/.namei.o.cmd"))
		if len(found) == 1 {
			out = strings.TrimSuffix(found[0], "/fs/.namei.o.cmd")
		}
		return out != ""
	}, time.Minute, 20*time.Millisecond)
	second := make(chan error, 1)
	go func() {
		_, err := other.Build(t.Context(), spec)
		second <- err
	}()
	require.Eventually(t, func() bool {
		said.mu.Lock()
		defer said.mu.Unlock()
		return len(said.meter) > 0
	}, time.Minute, 20*time.Millisecond, "the other's progress")
	assert.Contains(t, said.text(), "waiting for kernel 6.6.99+slow, which another process builds")

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	_, err := other.Build(ctx, spec)
	var unfinished *kernels.Unfinished
	if assert.ErrorAs(t, err, &unfinished, "who cannot wait is told how far it is") {
		assert.Contains(t, err.Error(), "objects by another process")
	}
	require.NoError(t, os.WriteFile(out+"/go", nil, 0o644))
	require.NoError(t, <-first)
	require.NoError(t, <-second)
	for _, m := range said.meter {
		assert.Equal(t, int64(3), m[1])
	}
}

// What differs in a few options starts from the objects that are there.
func TestRelative(t *testing.T) {
	p, _ := provider(t)
	// Objects do not depend on the config here, as in kbuild those that no
	// changed option concerns do not.
	tree := plant(t, map[string]string{"Makefile": strings.Replace(tinyTree["Makefile"], "$(O)/%.o: $(S)/%.c $(O)/.config", "$(O)/%.o: $(S)/%.c", 1)})
	first, err := p.Build(t.Context(), Spec{Tree: tree, Label: "one"})
	require.NoError(t, err)
	second, err := p.Build(t.Context(), Spec{Tree: tree, Label: "two", Fragments: []string{"no-ibt"}})
	require.NoError(t, err)
	a, err := os.Stat(first.BuildDir + "/fs/namei.o")
	require.NoError(t, err)
	b, err := os.Stat(second.BuildDir + "/fs/namei.o")
	require.NoError(t, err)
	assert.Equal(t, a.ModTime(), b.ModTime(), "taken over")
	assert.False(t, os.SameFile(a, b), "a copy: tools change objects in place")
	assert.Equal(t, "6.6.99+two", second.Release)

	// Of a tree that was changed, what the change does not concern; a file that
	// is older than the objects, but was not what they were made from, counts.
	require.NoError(t, os.WriteFile(tree+"/kernel/fork.c", []byte("int fork_ = 2;\n"), 0o644))
	require.NoError(t, os.Chtimes(tree+"/kernel/fork.c", time.Unix(1, 0), time.Unix(1, 0)))
	third, err := p.Build(t.Context(), Spec{Tree: tree, Label: "one"})
	require.NoError(t, err)
	for file, same := range map[string]bool{"fs/namei.o": true, "init/main.o": true, "kernel/fork.o": false} {
		a, err := os.Stat(first.BuildDir + "/" + file)
		require.NoError(t, err)
		c, err := os.Stat(third.BuildDir + "/" + file)
		require.NoError(t, err)
		assert.Equal(t, same, a.ModTime().Equal(c.ModTime()), file)
	}
	assert.Empty(t, second.ConfigValue("CONFIG_X86_KERNEL_IBT"))
	assert.Equal(t, "y", first.ConfigValue("CONFIG_X86_KERNEL_IBT"), "the relative is as it was")
}
