// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"al.essio.dev/pkg/shellescape"
)

// Spec is what a user asks to be built.
type Spec struct {
	// Version is the release to build ("6.6", the newest of them, or "6.6.3"),
	// of the mirror or kernel.org; with Tree or Tarball it may be "", and is
	// otherwise compared with what they hold.
	Version string
	// Tree is a folder with a source tree, Tarball a file with one.
	Tree, Tarball string
	// Config is a file with a whole .config, which takes the place of our base.
	Config string
	// Fragments are merged over the config, in order: names of ours or files.
	Fragments []string
	// Label is the kernel's name, by which it is selected ("6.6+LABEL"). What
	// is not a release built in the ordinary way gets one from the names of
	// its files if none is given.
	Label string
}

// command is what a person would type for it.
func (s Spec) command() string {
	words := []string{"switchyard", "kernels", "build"}
	if s.Version != "" {
		words = append(words, s.Version)
	}
	for _, f := range []struct{ name, value string }{{"-tree", s.Tree}, {"-tarball", s.Tarball}, {"-config", s.Config}} {
		if f.value != "" {
			words = append(words, f.name, f.value)
		}
	}
	for _, f := range s.Fragments {
		words = append(words, "-fragment", f)
	}
	if s.Label != "" {
		words = append(words, "-name", s.Label)
	}
	return shellescape.QuoteCommand(words)
}

// plan is a Spec with all its files read: what is going to be built.
type plan struct {
	spec      Spec
	origin    *origin
	label     string
	config    []byte // the user's, nil for our base
	fragments []fragment
	compiler  string // its compilerID
	key       string
}

// what names the kernel for a person.
func (pl *plan) what() string {
	text := "kernel " + pl.origin.version
	if pl.label != "" {
		text += "+" + pl.label
	}
	return text
}

// asked are the options that the kernel must come out with: what the user's
// fragments say, or else the base; wished are those of the base, which older
// and newer kernels may lack.
func (pl *plan) asked() (asked, wished []option) {
	if pl.config != nil {
		return merged(pl.fragments), nil
	}
	users := merged(pl.fragments[1:])
	set := map[string]bool{}
	for _, o := range users {
		set[o.name] = true
	}
	for _, o := range merged(pl.fragments[:1]) {
		if !set[o.name] {
			wished = append(wished, o)
		}
	}
	return users, wished
}

// localVersion is the end of the release. It is set in any case: a tree's git
// state or a user's config must not add to it.
func (pl *plan) localVersion() string {
	text := ""
	if pl.label != "" {
		text = "+" + pl.label
	}
	return fmt.Sprintf("CONFIG_LOCALVERSION=%q\n# CONFIG_LOCALVERSION_AUTO is not set\n", text)
}

// plan reads all that s names.
func (p *Provider) plan(ctx context.Context, s Spec) (*plan, error) {
	if s.Tree != "" && s.Tarball != "" {
		return nil, &InputError{"-tree and -tarball", "a kernel is built from one of them", nil}
	}
	pl := &plan{spec: s, label: s.Label}
	if s.Label != "" {
		if err := checkLabel(s.Label); err != nil {
			return nil, err
		}
	}
	if err := pl.readConfig(); err != nil {
		return nil, err
	}
	var err error
	if pl.origin, err = p.findOrigin(ctx, s); err != nil {
		return nil, err
	}
	if pl.label == "" {
		pl.label = pl.defaultLabel()
	}
	return pl, nil
}

func (pl *plan) readConfig() error {
	if path := pl.spec.Config; path != "" {
		text, err := os.ReadFile(path)
		if err != nil {
			return &InputError{path, "the config cannot be read: " + cause(err), err}
		}
		if _, err := parseFragment(path, text); err != nil {
			return &InputError{path, "it is no kernel config: it sets no option; take a kernel's .config or /boot/config-RELEASE", err}
		}
		pl.config = text
	} else {
		base, err := openFragment(baseFragment)
		if err != nil {
			return err
		}
		pl.fragments = []fragment{base}
	}
	for _, name := range pl.spec.Fragments {
		f, err := openFragment(name)
		if err != nil {
			return err
		}
		pl.fragments = append(pl.fragments, f)
	}
	return nil
}

// findOrigin finds what s is built from.
func (p *Provider) findOrigin(ctx context.Context, s Spec) (*origin, error) {
	var o *origin
	var err error
	switch {
	case s.Tree != "":
		o, err = p.tree(ctx, s.Tree)
	case s.Tarball != "":
		var sums map[string]string
		if sums, err = p.folderSums(filepath.Dir(s.Tarball)); err == nil {
			o, err = p.tarball(s.Tarball, sums[filepath.Base(s.Tarball)])
		}
	case s.Version != "":
		var l listing
		if l, err = p.findListing(ctx, s.Version); err == nil {
			o, err = p.listed(l)
		}
	default:
		err = &InputError{"kernels build", "say what to build: a version, or a tree by -tree, or a tarball by -tarball", nil}
	}
	if err != nil {
		return nil, err
	}
	return o, o.fits(s.Version)
}

// fits compares the version that was asked for, if one was, with the origin's,
// if that is known yet.
func (o *origin) fits(version string) error {
	if version == "" || o.version == "" || matches(version, o.version) {
		return nil
	}
	return &InputError{o.title, fmt.Sprintf("it is kernel %s, and %s was asked for", o.version, version), nil}
}

// defaultLabel is the name of what is not a release built in the ordinary way.
func (pl *plan) defaultLabel() string {
	var parts []string
	if !pl.origin.release {
		name := filepath.Base(pl.origin.title)
		if pl.spec.Tree == "" {
			name, _, _ = strings.Cut(name, ".tar")
		}
		parts = append(parts, name)
	}
	if pl.spec.Config != "" {
		parts = append(parts, pl.spec.Config)
	}
	parts = append(parts, pl.spec.Fragments...)
	if len(parts) == 0 {
		return ""
	}
	if label := labelFrom(parts...); label != "" {
		return label
	}
	return "local"
}

// recipeVersion changes whenever the same inputs would be built differently.
const recipeVersion = "source kernel 1"

// setKey computes the key, once the compiler is known.
func (pl *plan) setKey() {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n%s\n%s\n", recipeVersion, pl.origin.hash, pl.compiler, pl.label)
	fmt.Fprintf(h, "%d\n%s", len(pl.config), pl.config)
	h.Write(configText(merged(pl.fragments)))
	pl.key = hex.EncodeToString(h.Sum(nil)[:6])
}
