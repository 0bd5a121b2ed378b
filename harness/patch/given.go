// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"os"
	"path"
	"path/filepath"
	"strings"
)

// Given is a source as the user brought it, for carrying it elsewhere: files by
// their names there, and which of them, or which folder of them, is to be
// opened. OpenAs with Options makes the same source of it.
type Given struct {
	Open    string            // "fix.patch", "fix/", "fix.ko"; of an instrument its name
	Files   map[string]string // slash-separated name -> path here
	Kind    Kind
	Options DiffOptions
}

// Given is s as it was brought: what it was made from, for a module that came
// out of a bundle.
func (s *Source) Given() Given {
	if s.Origin != nil {
		return *s.Origin
	}
	g := Given{Kind: s.Kind, Files: map[string]string{}}
	switch s.Kind {
	case Instrument:
		g.Open = s.Path
		return g
	case Folder:
		// Also of a single C file: a folder of the module's name makes the same
		// module.
		g.Open = s.Name
		for _, f := range s.Files {
			g.Files[path.Join(g.Open, filepath.ToSlash(f))] = filepath.Join(s.Path, f)
		}
		if len(s.Probes) > 0 {
			g.Files[path.Join(g.Open, probesFile)] = filepath.Join(s.Path, probesFile)
		}
		g.with(path.Join(g.Open, withFolder), s.With)
	case Diff:
		g.Open, g.Options = filepath.Base(s.Path), s.diff.DiffOptions
		base := strings.TrimSuffix(s.Path, filepath.Ext(s.Path))
		name := strings.TrimSuffix(g.Open, filepath.Ext(g.Open))
		for _, suffix := range []string{callbacksSuffix, probesSuffix} {
			if _, err := os.Stat(base + suffix); err == nil {
				g.Files[name+suffix] = base + suffix
			}
		}
		g.Files[g.Open] = s.Path
		g.with(name+withSuffix, s.With)
	default:
		g.Open = filepath.Base(s.Path)
		g.Files[g.Open] = s.Path
	}
	return g
}

// with adds the modules that lie in a source's folder dir.
func (g *Given) with(dir string, with []*Source) {
	for _, w := range with {
		for name, at := range w.Given().Files {
			g.Files[path.Join(dir, name)] = at
		}
	}
}
