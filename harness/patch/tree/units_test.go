// SPDX-License-Identifier: Apache-2.0

package tree_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch/refusal"
	"github.com/switchyard-project/switchyard/harness/patch/tree"
)

// brief says what units are: source, and what the object becomes a part of.
func brief(units []tree.Unit) (all []string) {
	for _, u := range units {
		all = append(all, u.Source+" "+u.Object)
	}
	return all
}

// TestUnits is about what source files become a part of in Debian's kernels for
// clouds.
func TestUnits(t *testing.T) {
	for _, kit := range kits(t) {
		tr := open(t, kit)
		for _, c := range []struct {
			option string // without which the kernel has it not
			source string
			want   []string
		}{
			{"PROC_FS", "fs/proc/cmdline.c", []string{"fs/proc/cmdline.c vmlinux"}},
			{"PROC_FS", "lib/string.c", []string{"lib/string.c vmlinux"}},                                                   // of lib-y
			{"PROC_FS", "arch/x86/kernel/head64.c", []string{"arch/x86/kernel/head64.c vmlinux"}},                           // of extra-y until 6.1
			{"DUMMY", "drivers/net/dummy.c", []string{"drivers/net/dummy.c dummy"}},                                         // a module of one file
			{"VFAT_FS", "fs/fat/namei_vfat.c", []string{"fs/fat/namei_vfat.c vfat"}},                                        // one of several
			{"NET_SCH_CAKE", "net/sched/sch_cake.c", []string{"net/sched/sch_cake.c sch_cake"}},                             // a name with an underscore
			{"DM_CRYPT", "drivers/md/dm-crypt.c", []string{"drivers/md/dm-crypt.c dm_crypt"}},                               // and with a hyphen
			{"COMPAT_BINFMT_ELF", "fs/binfmt_elf.c", []string{"fs/binfmt_elf.c vmlinux", "fs/compat_binfmt_elf.c vmlinux"}}, // included by another one
		} {
			if kit.ConfigValue("CONFIG_"+c.option) == "" {
				continue
			}
			t.Run(kit.Release+"/"+c.source, func(t *testing.T) {
				units, err := tr.Units(t.Context(), c.source)
				require.NoError(t, err)
				require.Equal(t, c.want, brief(units))
			})
		}
	}
}

// TestElsewhere is about C that is not the kernel's own code.
func TestElsewhere(t *testing.T) {
	tr := open(t, kits(t)[0])
	for source, code := range map[string]refusal.Code{
		"arch/x86/entry/vdso/vclock_gettime.c": refusal.VDSO,
		"arch/x86/boot/compressed/misc.c":      refusal.InitExit,
		"arch/x86/boot/main.c":                 refusal.InitExit,
		"drivers/firmware/efi/libstub/gop.c":   refusal.InitExit,
		"arch/x86/purgatory/purgatory.c":       refusal.NotCode,
		"scripts/mod/modpost.c":                refusal.NotCode,
		"tools/objtool/check.c":                refusal.NotCode,
		"arch/x86/kernel/head_64.S":            refusal.Assembly,
	} {
		_, err := tr.Units(t.Context(), source)
		var r *refusal.Refusal
		require.ErrorAs(t, err, &r, source)
		assert.Equal(t, code, r.Code, source)
		assert.Equal(t, source, r.File)
	}
	units, err := tr.Units(t.Context(), "arch/x86/entry/vdso/vma.c") // beside the vDSO, and of the kernel
	require.NoError(t, err)
	require.Equal(t, []string{"arch/x86/entry/vdso/vma.c vmlinux"}, brief(units))
}

// TestNotBuilt is about files that no object is made of.
func TestNotBuilt(t *testing.T) {
	for _, kit := range kits(t) {
		tr := open(t, kit)
		// Of Debian's source the folder is not even unpacked.
		sound := `sound/core/pcm.c: nothing of this kernel is built from it: CONFIG_SOUND is not set in its configuration (RELEASE); leave the file out of the diff, or choose a kernel that has it`
		if kit.SourceDir != "" {
			sound = `sound/core/pcm.c: this kernel is not built from it: sound/core/Makefile has it in "obj-$(CONFIG_SND_PCM) += snd-pcm.o", and CONFIG_SND_PCM is not set in its configuration (RELEASE); leave the file out of the diff, or choose a kernel with CONFIG_SND_PCM`
		}
		for _, c := range []struct{ source, want string }{
			{"fs/minix/inode.c", `fs/minix/inode.c: this kernel is not built from it: fs/minix/Makefile has it in "obj-$(CONFIG_MINIX_FS) += minix.o", and CONFIG_MINIX_FS is not set in its configuration (RELEASE); leave the file out of the diff, or choose a kernel with CONFIG_MINIX_FS`},
			{"kernel/gcov/fs.c", `kernel/gcov/fs.c: this kernel is not built from it: kernel/Makefile has it in "obj-$(CONFIG_GCOV_KERNEL) += gcov/", and CONFIG_GCOV_KERNEL is not set in its configuration (RELEASE); leave the file out of the diff, or choose a kernel with CONFIG_GCOV_KERNEL`},
			{"sound/core/pcm.c", sound},
			{"fs/proc/no-such-file.c", `fs/proc/no-such-file.c: this kernel is not built from it, and no Makefile names it (RELEASE); leave the file out of the diff, or choose a kernel that is built from it`},
		} {
			t.Run(kit.Release+"/"+c.source, func(t *testing.T) {
				_, err := tr.Units(t.Context(), c.source)
				var r *refusal.Refusal
				require.ErrorAs(t, err, &r)
				assert.Equal(t, refusal.NotBuilt, r.Code)
				assert.Equal(t, kit.Release, r.Release)
				r.Release = "RELEASE"
				assert.Equal(t, c.want, r.Error())
			})
		}
	}
}

// TestIncluders finds what a header is included in, and nothing else: the answer
// is the preprocessor's.
func TestIncluders(t *testing.T) {
	for _, kit := range kits(t) {
		t.Run(kit.Release, func(t *testing.T) {
			tr := open(t, kit)
			units, err := tr.Includers(t.Context(), "fs/proc/fd.h", 20)
			require.NoError(t, err)
			assert.Contains(t, brief(units), "fs/proc/fd.c vmlinux")
			assert.Contains(t, brief(units), "fs/proc/base.c vmlinux")
			assert.NotContains(t, brief(units), "fs/proc/stat.c vmlinux")
			assert.LessOrEqual(t, len(units), 6)

			if kit.ConfigValue("CONFIG_VFAT_FS") == "m" {
				units, err = tr.Includers(t.Context(), "fs/fat/fat.h", 20)
				require.NoError(t, err)
				assert.Contains(t, brief(units), "fs/fat/namei_vfat.c vfat")
				assert.Contains(t, brief(units), "fs/fat/cache.c fat")
			}
			assert.True(t, slices.IsSortedFunc(units, func(a, b tree.Unit) int { return strings.Compare(a.Source, b.Source) }))

			units, err = tr.Includers(t.Context(), "include/linux/no_such_header.h", 20)
			require.NoError(t, err)
			assert.Empty(t, units)

			_, err = tr.Includers(t.Context(), "include/linux/fs.h", 20)
			var r *refusal.Refusal
			require.True(t, errors.As(err, &r), "%v", err)
			assert.Equal(t, refusal.TooMany, r.Code)
		})
	}
}
