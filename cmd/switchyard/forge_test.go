// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// emptyBundle is the description of a bundle with nothing in it, for forge.
const emptyBundle = `{
  "schema": "switchyard.bundle/1",
  "kernel": {"release": "RELEASE", "version": "1", "provider": "debian", "source": "debian"},
  "expected": "complete", "command": "COMMAND", "case": null, "files": []
}`

// forge is the program switchyard-forge of the scripts: FROM TO s/OLD/NEW/…, with any character for /,
// writes another bundle with its description changed, as a stranger can. FROM
// may be "empty".
func forge(args []string) int {
	err := func() error {
		out, err := os.Create(args[1])
		if err != nil {
			return err
		}
		defer out.Close()
		z, err := zstd.NewWriter(out)
		if err != nil {
			return err
		}
		w := tar.NewWriter(z)
		if args[0] == "empty" {
			if err := forged(w, &tar.Header{Typeflag: tar.TypeReg, Name: "bundle.json", Mode: 0o644}, []byte(emptyBundle), args[2:]); err != nil {
				return err
			}
		} else if err := forgedFrom(args[0], w, args[2:]); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
		return z.Close()
	}()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func forgedFrom(path string, w *tar.Writer, edits []string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close()
	z, err := zstd.NewReader(in)
	if err != nil {
		return err
	}
	defer z.Close()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if h.Name != "bundle.json" {
			if err := forged(w, h, content, nil); err != nil {
				return err
			}
			continue
		}
		if err := forged(w, h, content, edits); err != nil {
			return err
		}
	}
}

func forged(w *tar.Writer, h *tar.Header, content []byte, edits []string) error {
	for _, edit := range edits {
		parts := strings.Split(edit, edit[1:2])
		if len(parts) != 4 || !bytes.Contains(content, []byte(parts[1])) {
			return fmt.Errorf("%s: changes nothing", edit)
		}
		content = bytes.ReplaceAll(content, []byte(parts[1]), []byte(parts[2]))
	}
	h.Size = int64(len(content))
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err := w.Write(content)
	return err
}
