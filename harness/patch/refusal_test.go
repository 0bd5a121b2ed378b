// SPDX-License-Identifier: Apache-2.0

package patch_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/kernels"
)

// TestImageDoesNotTell: what a source needs and an image does not hold is
// refused with file, line, name, reason and what to do.
func TestImageDoesNotTell(t *testing.T) {
	b, kits := bench(t, t.TempDir())
	b.Route = patch.RouteBTF
	const head = "#include <linux/module.h>\n"
	for _, c := range []struct {
		name, text string
		edit       func(*kernels.Kit)
		want       []string
	}{
		{"header", head + "/* #include <linux/none.h> */\n#include <linux/netdevice.h>\n", nil,
			[]string{"f.c:3: <linux/netdevice.h>:", "macros and inline functions"}},
		{"inline function", head + "#include <linux/sched/signal.h>\nint f(void)\n{\n\treturn signal_pending(current);\n}\n", nil,
			[]string{"f.c:5: signal_pending() is no function of the image", "inline function"}},
		{"not exported", head + "#include <linux/seq_file.h>\nint f(struct seq_file *m)\n{\n\treturn cmdline_proc_show(m, 0);\n}\n", nil,
			[]string{"f.c:5: cmdline_proc_show() is in the image, but not exported"}},
		{"not exported, declared by hand", head + "int cmdline_proc_show(void *m, void *v);\nint f(void *m)\n{\n\treturn cmdline_proc_show(m, 0);\n}\n", nil,
			[]string{"f.c:2: cmdline_proc_show() is in the image, but not exported"}},
		{"macro", head + "unsigned long f(void)\n{\n\treturn THREAD_SIZE_ORDER_OF_NOBODY;\n}\n", nil,
			[]string{"f.c:4: THREAD_SIZE_ORDER_OF_NOBODY is no constant"}},
		{"macro that declares", head + "DEFINE_STATIC_KEY_FALSE(key);\n", nil,
			[]string{"f.c:2: DEFINE_STATIC_KEY_FALSE is no constant"}},
		{"type", head + "snd_pcm_uframes_of_nobody_t f;\n", nil,
			[]string{"f.c:2: snd_pcm_uframes_of_nobody_t is not described"}},
		{"struct", head + "int f(struct of_nobody *s)\n{\n\treturn s->member;\n}\n", nil,
			[]string{"f.c:4: struct of_nobody is not described"}},
		{"data", head + "int f(void)\n{\n\treturn system_state;\n}\n", nil,
			[]string{"f.c:4: system_state is there for modules, but the image does not tell its type"}},
		{"several types", head + "int f(struct perf_aux_event *e)\n{\n\treturn 0;\n}\n", nil,
			[]string{"f.c:2: struct perf_aux_event:", "several types of that name"}},
		{"config", head + "#ifdef CONFIG_NUMA\n#endif\n", func(k *kernels.Kit) { k.ConfigFile = "" },
			[]string{"f.c:2: CONFIG_NUMA:", "does not tell how it was configured"}},
	} {
		for _, kit := range kits {
			t.Run(c.name+"/"+kit.Release, func(t *testing.T) {
				k := *kit
				if c.edit != nil {
					c.edit(&k)
				}
				dir := filepath.Join(t.TempDir(), "f")
				write(t, dir, map[string]string{"f.c": c.text})
				_, err := build(t, b, dir, &k)
				var input *patch.InputError
				require.ErrorAs(t, err, &input)
				for _, want := range append(c.want, dir, "choose a kernel with headers", "switchyard kernels build") {
					require.Contains(t, err.Error(), want)
				}
			})
		}
	}
}

// TestKbuildWithoutMake: a folder's own Kbuild is read where it only lists
// files.
func TestKbuildWithoutMake(t *testing.T) {
	b, kits := bench(t, t.TempDir())
	b.Route = patch.RouteBTF
	const one = "#include <linux/module.h>\nint helper(void);\nstatic int __init f_init(void) { return helper(); }\nmodule_init(f_init);\nMODULE_LICENSE(\"GPL\");\n"
	const two = "#include \"two.h\"\nint helper(void) { return TWO; }\n"
	files := map[string]string{"one.c": one, "two.c": two, "two.h": "#define TWO 2\n", "stray.c": "#error not for this module\n"}
	for _, c := range []struct{ kbuild, name, refused string }{
		{"# a comment\nobj-m := both-two.o\nboth-two-y := one.o \\\n\ttwo.o\n", "both_two", ""},
		{"obj-m += x.o\nx-objs := one.o\nx-objs += two.o\n", "x", ""},
		{"obj-m := x.o\nx-y := one.o two.o\nccflags-y := -DX\n", "", "Kbuild:3: `ccflags-y := -DX` is for make"},
		{"obj-m := x.o\nx-y := $(wildcard *.c)\n", "", "Kbuild:2:"},
		{"obj-m := x.o y.o\n", "", "makes 2 modules"},
		{"obj-m := x.o\nx-y := entry.o\n", "", "there is no entry.c"},
	} {
		t.Run(c.kbuild, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "f")
			write(t, dir, files)
			write(t, dir, map[string]string{"Kbuild": c.kbuild})
			m, err := build(t, b, dir, kits[0])
			if c.refused == "" {
				require.NoError(t, err)
				require.Equal(t, c.name, m.Name)
				return
			}
			var input *patch.InputError
			require.ErrorAs(t, err, &input)
			require.Contains(t, err.Error(), c.refused)
		})
	}
}

// TestAuthorsErrors: what no kernel would compile is the compiler's to tell,
// with the author's own path.
func TestAuthorsErrors(t *testing.T) {
	b, kits := bench(t, t.TempDir())
	b.Route = patch.RouteBTF
	dir := filepath.Join(t.TempDir(), "f")
	write(t, dir, map[string]string{"f.c": "#include <linux/module.h>\nint f(void)\n{\n\treturn 1 +;\n}\n"})
	_, err := build(t, b, dir, kits[0])
	var failed *patch.BuildError
	require.ErrorAs(t, err, &failed)
	require.Contains(t, failed.First, filepath.Join(dir, "f.c")+":4:")
	require.Contains(t, failed.Log, failed.First)
}

// TestRouteThatIsNot: a route that cannot be taken says what can.
func TestRouteThatIsNot(t *testing.T) {
	b, kits := bench(t, t.TempDir())
	bare := *kits[0]
	bare.HeadersDir = ""
	forced := *b
	forced.Route = patch.RouteKbuild
	_, err := build(t, &forced, filepath.Join(testdata, "cmdline"), &bare)
	var input *patch.InputError
	require.ErrorAs(t, err, &input)
	require.Contains(t, err.Error(), "-route auto")

	// A program is an ELF file without types, as a kernel without BTF is.
	program, err := os.Executable()
	require.NoError(t, err)
	bare.VMLinux = program
	_, err = build(t, b, filepath.Join(testdata, "cmdline"), &bare)
	require.ErrorAs(t, err, &input)
	require.Contains(t, err.Error(), "CONFIG_DEBUG_INFO_BTF")
	require.Contains(t, err.Error(), ".ko")

	// What was built elsewhere for this very kernel is taken all the same.
	m, err := build(t, b, filepath.Join(testdata, "cmdline"), kits[0])
	require.NoError(t, err)
	m, err = build(t, b, m.Path, &bare)
	require.NoError(t, err)
	require.Equal(t, "prebuilt", m.Manifest.BuiltBy())
	require.Len(t, m.Manifest.Warnings, 1)

	_, err = patch.ParseRoute("make")
	require.ErrorContains(t, err, "auto, kbuild or btf")
}

func write(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(dir, 0o755))
	for name, text := range files {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644))
	}
}
