// SPDX-License-Identifier: Apache-2.0

package debian

import (
	"bufio"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/xi2/xz"
	"pault.ag/go/debian/control"
)

// Package is a binary package that the archive offers.
type Package struct {
	Name, Version string
	// Suite is the name of the suite that offers it.
	Suite string
	// Filename is its path on the mirror below the suite's part.
	Filename string
	Size     int64
	SHA256   string
	// Depends holds Pre-Depends and Depends as the archive has them, with a
	// comma between; Provides likewise.
	Depends, Provides string `json:",omitempty"`
}

// remote says where on a's mirror the package is.
func (p Package) remote(a *Archive) remote {
	base := a.Mirror.Archive
	for _, s := range a.Suites {
		if s.Name == p.Suite {
			base = a.Mirror.url(s.Part)
		}
	}
	return remote{url: base + "/" + p.Filename, name: p.Name + " " + p.Version, size: p.Size, sha256: p.SHA256}
}

// eachPackage streams the index of packages in a file with the suffix ".xz",
// ".gz" or "" through yield: trixie's has 69,000 paragraphs in 57 MB, which
// must not be in memory at once.
func eachPackage(path, suffix string, s Suite, yield func(Package) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var r io.Reader = bufio.NewReaderSize(f, 1<<16)
	switch suffix {
	case ".xz":
		r, err = xz.NewReader(r, 0)
	case ".gz":
		r, err = gzip.NewReader(r)
	}
	if err != nil {
		return fmt.Errorf("package index of %s: %w", s.Name, err)
	}
	paragraphs, err := control.NewParagraphReader(r, nil)
	if err != nil {
		return fmt.Errorf("package index of %s: %w", s.Name, err)
	}
	for {
		p, err := paragraphs.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("package index of %s: %w", s.Name, err)
		}
		pkg, err := readPackage(p, s)
		if err != nil {
			return fmt.Errorf("package index of %s: %w", s.Name, err)
		}
		if err := yield(pkg); err != nil {
			return err
		}
	}
}

func readPackage(p *control.Paragraph, s Suite) (Package, error) {
	v := p.Values
	size, err := strconv.ParseInt(v["Size"], 10, 64)
	if err != nil {
		return Package{}, fmt.Errorf("size of package %q: %w", v["Package"], err)
	}
	var depends []string
	for _, field := range []string{"Pre-Depends", "Depends"} {
		if v[field] != "" {
			depends = append(depends, v[field])
		}
	}
	return Package{
		Name: v["Package"], Version: v["Version"], Suite: s.Name,
		Filename: v["Filename"], Size: size, SHA256: v["SHA256"],
		Depends: strings.Join(depends, ", "), Provides: v["Provides"],
	}, nil
}
