// SPDX-License-Identifier: Apache-2.0

// Package toolroot is one extracted Debian root with the compiler, the build
// tools and the QEMU that all kernels are built and run with, and the way
// into it without being root.
//
// What must not live here: what is built or run inside.
package toolroot

// recipe is what a part of the tool root is made of.
type recipe struct {
	name string
	// want are the packages that we call for, each with the reason; the rest
	// follows from their dependencies.
	want []choice
	// without are dependencies that are left out with all that only they
	// need, each with the reason why nothing misses them.
	without []choice
	// links are made by hand, since no maintainer script runs: target by
	// path, for what a package's postinst would have linked.
	links map[string]string
}

type choice struct{ pkg, why string }

// parts is what the tool root consists of. QEMU is one by itself, so that a
// host with a good QEMU does not fetch it, and so are the programs for guests
// whose scripts are not ours, and the browser, which only tests want.
var parts = []recipe{buildPart, qemuPart, userlandPart, browserPart, klpBuildPart, debuggerPart}

var buildPart = recipe{
	name: "build",
	want: []choice{
		{"base-files", "the folders of a root"},
		{"gcc-14", "the compiler of trixie's kernels, under its versioned name"},
		{"gcc", "the name gcc, which HOSTCC is"},
		{"binutils", "as, ld, objcopy, nm"},
		{"make", "kbuild"},
		{"bc", "kernel/time/timeconst.bc"},
		{"flex", "Kconfig, modpost's parsers"},
		{"bison", "Kconfig, modpost's parsers"},
		{"libelf-dev", "objtool of a kernel that is built here"},
		{"libssl-dev", "scripts/sign-file, certs/extract-cert"},
		{"pahole", "BTF of modules and kernels"},
		{"bpftool", "a C header of the types of a kernel of which only the image is there"},
		{"python3-minimal", "scripts/bpf_doc.py and other scripts of newer kernels"},
		{"perl-base", "scripts/*.pl"},
		{"xz-utils", "CONFIG_MODULE_COMPRESS_XZ, tarballs"},
		{"zstd", "CONFIG_KERNEL_ZSTD"},
		{"lz4", "CONFIG_KERNEL_LZ4"},
		{"gzip", "CONFIG_KERNEL_GZIP, the config in the kernel"},
		{"kmod", "depmod in modules_install"},
		{"cpio", "usr/gen_initramfs.sh, gen_kheaders.sh"},
		{"tar", "source tarballs"},
		{"patch", "patches"},
		{"dash", "sh"},
		{"bash", "scripts that say so"},
		{"coreutils", "every recipe of every Makefile"},
		{"findutils", "make clean, install rules"},
		{"grep", "kbuild's scripts"},
		{"sed", "kbuild's scripts"},
		{"mawk", "kbuild's scripts, as awk"},
		{"diffutils", "cmp, for if_changed rules"},
	},
	without: []choice{
		{"libasan8", "a run-time library of a sanitizer that kernels do not link"},
		{"libhwasan0", "as libasan8"},
		{"liblsan0", "as libasan8"},
		{"libtsan2", "as libasan8"},
		{"libubsan1", "as libasan8"},
		{"libitm1", "transactional memory of user programs"},
		{"libquadmath0", "quad precision of user programs"},
		{"libgprofng0", "the profiler of binutils; nothing else links it"},
		{"libstdc++6", "needed by gprofng and gdb plug-ins alone here"},
		{"dpkg", "asked for by packages' scripts, which do not run"},
		{"debconf", "as dpkg"},
		{"install-info", "as dpkg"},
		{"libc-dev-bin", "rpcgen and the like"},
		{"linux-sysctl-defaults", "settings for a running system"},
		{"libpam0g", "nobody logs in"},
		{"libpam-modules", "as libpam0g"},
	},
	links: map[string]string{
		"usr/bin/awk": "mawk",
	},
}

var qemuPart = recipe{
	name: "qemu",
	want: []choice{
		{"qemu-system-x86", "the machine"},
		{"qemu-system-data", "linuxboot_dma.bin, pvh.bin, kvmvapic.bin"},
		{"seabios", "bios-256k.bin"},
	},
	without: []choice{
		{"qemu-system-common", "plug-ins for displays, sound and USB, which no test machine has, and helpers that run as root"},
		{"ipxe-qemu", "boot ROMs of network cards; a machine boots from -kernel"},
		{"debconf", "asked for by packages' scripts, which do not run"},
		{"adduser", "as debconf"},
		{"passwd", "as debconf"},
		{"libsasl2-modules-db", "passwords for VNC"},
		{"ibverbs-providers", "RDMA cards"},
		{"openssl-provider-legacy", "outdated ciphers; QEMU's TLS is GnuTLS"},
		{"libpam-modules", "nobody logs in"},
		{"libpam-modules-bin", "as libpam-modules"},
	},
}

var userlandPart = recipe{
	name: "userland",
	want: []choice{
		{"bash", "what the kernel's selftests are written for"},
		{"coreutils", "cat, id, mktemp, comm, stat, …"},
		{"util-linux", "dmesg"},
		{"procps", "sysctl"},
		{"kmod", "modprobe, insmod, rmmod, modinfo"},
		{"grep", "as bash"},
		{"sed", "as bash"},
		{"mawk", "awk"},
		{"diffutils", "diff"},
		{"libc-bin", "getconf"},
	},
	without: []choice{
		{"dpkg", "asked for by packages' scripts, which do not run"},
		{"debconf", "as dpkg"},
		{"base-files", "asked for by bash; the image has its own folders"},
		{"debianutils", "as base-files"},
		{"init-system-helpers", "services, of which there are none"},
		{"linux-sysctl-defaults", "settings for a running system"},
		{"libpam0g", "nobody logs in"},
		{"libpam-modules", "as libpam0g"},
		{"login", "as libpam0g"},
		{"login.defs", "as libpam0g"},
	},
}

// layout are the links that make a root with merged /usr, which all packages
// of trixie expect.
var layout = map[string]string{
	"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64",
}

// folders are made in every root: mount points, and the homes of links.
var folders = []string{
	"dev", "proc", "sys", "tmp", "run", "etc", "build", "usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "usr/src",
}

// unneeded are folders of packages that no program reads.
var unneeded = []string{
	"usr/share/doc/", "usr/share/man/", "usr/share/info/", "usr/share/locale/", "usr/share/lintian/",
	"usr/share/bug/", "usr/share/gcc/", "usr/share/bash-completion/", "usr/share/zsh/", "usr/share/gdb/auto-load/",
	"usr/share/doc-base/", "usr/share/icons/", "usr/share/applications/", "usr/share/common-licenses/",
	"usr/lib/systemd/", "usr/lib/udev/", "etc/init.d/", "usr/games/", "var/",
	"usr/bin/qemu-system-i386", "usr/bin/qemu-system-x86_64-microvm",
}

func names(choices []choice) (all []string) {
	for _, c := range choices {
		all = append(all, c.pkg)
	}
	return all
}
