// SPDX-License-Identifier: Apache-2.0

package toolroot

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/switchyard-project/switchyard/kernels/debian"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// browserPart is a browser without a screen, to look at the reports' pages
// with. Nothing but tests fetches it.
var browserPart = recipe{
	name: "browser",
	want: []choice{
		{"base-files", "the folders of a root"},
		{"chromium-headless-shell", "the browser"},
		{"chromium-common", "icudtl.dat, without which it does not start"},
		{"fonts-liberation", "letters to draw"},
		{"fontconfig-config", "the letters' whereabouts"},
	},
	without: []choice{
		{"mesa-libgallium", "graphics cards; pages are drawn in memory"},
		{"libllvm19", "as mesa-libgallium"},
		{"libglx-mesa0", "as mesa-libgallium"},
		{"libgl1-mesa-dri", "as mesa-libgallium"},
		{"dpkg", "asked for by packages' scripts, which do not run"},
		{"debconf", "as dpkg"},
		{"ucf", "as dpkg"},
		{"xkb-data", "keyboards"},
		{"libx11-data", "as xkb-data"},
		{"x11-utils", "looking at windows"},
		{"xdg-utils", "opening other programs"},
		{"libpam-systemd", "nobody logs in"},
		{"gawk", "scripts of packages left out"},
	},
}

// Browser is a browser in a tool root of its own.
type Browser struct {
	// Path is the program. It must be started in Dir, with Env.
	Path, Dir string
	Env       []string
}

// browserPath is where the browser lies in its root.
const browserPath = "usr/lib/chromium/chromium-headless-shell"

// OpenBrowser gives the browser, fetching it (about 125 MB) once. Errors:
// *kernels.Lacking without a network.
func OpenBrowser(ctx context.Context, st *store.Store, ar *debian.Archive) (Browser, error) {
	r, err := open(ctx, st, ar, browserPart)
	if err != nil {
		return Browser{}, err
	}
	libraries := filepath.Join(r.Dir, "usr/lib/x86_64-linux-gnu")
	return Browser{
		Path: filepath.Join(r.Dir, browserPath), Dir: r.Dir,
		Env: []string{
			"LD_LIBRARY_PATH=" + libraries + ":" + filepath.Join(libraries, "pulseaudio"),
			"FONTCONFIG_SYSROOT=" + r.Dir, "FONTCONFIG_FILE=/etc/fonts/fonts.conf",
		},
	}, nil
}

// Of an absolute path, the loader's, the kernel makes one below the working
// folder when its first byte is gone. A browser starts its own program over
// and over, so the loader cannot stand in front of it as in front of QEMU.
var (
	hostLoader = []byte("\x00/lib64/ld-linux-x86-64.so.2\x00")
	ownLoader  = []byte("\x00lib64/ld-linux-x86-64.so.2\x00\x00")
)

// ownTheLoader has the browser in root be loaded by the root's own loader.
func ownTheLoader(root *os.Root) error {
	f, err := root.OpenFile(browserPath, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	head := make([]byte, 64<<10) // the headers and what they name first
	if _, err := io.ReadFull(f, head); err != nil {
		return err
	}
	at := bytes.Index(head, hostLoader)
	if at < 0 {
		return fmt.Errorf("%s does not name its loader where it should: the browser's package has changed", browserPath)
	}
	_, err = f.WriteAt(ownLoader, int64(at))
	return err
}
