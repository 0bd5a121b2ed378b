// SPDX-License-Identifier: Apache-2.0

package tree

import (
	"context"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// Where things stand in the tool root. The compiler puts none of it into an
// object: kbuild maps the source's folder away (-fmacro-prefix-map), so that
// __FILE__ is the same wherever a kernel was built.
const (
	insideSource = "/usr/src/linux"
	insideBuild  = "/usr/src/build" // the working folder, make's O=
	insideBuilt  = "/usr/src/built" // what a build left behind, to link to
	insideOut    = "/out"           // what comes out
)

// built is what the kernel's own build left behind and an object is compiled
// with: the configuration, generated headers, built programs of scripts/ and
// tools/. A headers package has it, and a built tree.
type built struct {
	host    string          // its folder on the host
	inside  string          // and in the tool root
	scripts string          // its folder scripts, resolved, in the tool root
	tools   string          // likewise
	mounts  []toolroot.Bind // by which it stands there
	whole   bool            // it is all of a build folder, every generated file included
}

func (t *Tree) built() (built, error) {
	if t.Kit.BuildDir != "" {
		return built{
			host: t.Kit.BuildDir, inside: insideBuilt, scripts: insideBuilt + "/scripts", tools: insideBuilt + "/tools",
			mounts: []toolroot.Bind{{Host: t.Kit.BuildDir, Inside: insideBuilt}}, whole: true,
		}, nil
	}
	b := built{inside: t.Kit.HeadersDir}
	if b.host = t.hostOf(b.inside); b.host == "" {
		return b, fmt.Errorf("kernel %s: its headers are not at %s", t.Kit.Release, b.inside)
	}
	b.mounts = append(b.mounts, toolroot.Bind{Host: b.host, Inside: b.inside})
	for name, to := range map[string]*string{"scripts": &b.scripts, "tools": &b.tools} {
		// A link into the package linux-kbuild.
		*to = b.inside + "/" + name
		if target, err := os.Readlink(filepath.Join(b.host, name)); err == nil {
			*to = path.Join(b.inside, target)
			host := t.hostOf(*to)
			if host == "" {
				return b, fmt.Errorf("kernel %s: its headers lead to %s, which is not there", t.Kit.Release, *to)
			}
			b.mounts = append(b.mounts, toolroot.Bind{Host: host, Inside: *to})
		}
	}
	return b, nil
}

// hostOf gives the folder on the host of one in the tool root, by the kit's
// mounts.
func (t *Tree) hostOf(inside string) string {
	for _, m := range t.Kit.Mounts {
		if rest, ok := strings.CutPrefix(inside, m.Inside); ok && (rest == "" || rest[0] == '/') {
			return filepath.Join(m.Host, rest)
		}
	}
	return ""
}

// arrange makes dir a build folder: links to what the build left. The
// configuration is a copy, and so the newest of all: make would make it anew
// from an older one, by a Kconfig that need not be there.
func (b built) arrange(dir string) error {
	config := filepath.Join(dir, "include/config")
	if err := os.MkdirAll(config, 0o755); err != nil {
		return err
	}
	for _, name := range []string{"auto.conf", "kernel.release"} {
		text, err := os.ReadFile(filepath.Join(b.host, "include/config", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(config, name), text, 0o644)
		}
		if err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(config, "auto.conf.cmd"), nil, 0o644); err != nil {
		return err
	}
	links := map[string]string{
		".config": b.inside + "/.config", "include/generated": b.inside + "/include/generated",
		"arch/x86/include/generated": b.inside + "/arch/x86/include/generated",
		"scripts":                    b.scripts, "tools": b.tools,
	}
	for name, target := range links {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.Symlink(target, file); err != nil {
			return err
		}
	}
	return nil
}

// tools opens the tool root and finds the compiler.
func (t *Tree) tools(ctx context.Context) (*toolroot.Root, *toolroot.Compiler, error) {
	root, err := t.deps.Root(ctx)
	if err != nil {
		return nil, nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.compiler == nil {
		if t.compiler, err = root.Compiler(ctx, t.Kit); err != nil {
			return nil, nil, err
		}
	}
	return root, t.compiler, nil
}
