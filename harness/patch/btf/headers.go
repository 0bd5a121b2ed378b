// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
)

// headers are our own linux/*.h, in place of the kernel's.
//
//go:embed include
var headers embed.FS

// shims is what there is to know of our headers.
type shims struct {
	digest    string          // of all their text
	questions []string        // HAVE_ macros that they ask
	words     map[string]bool // identifiers that they use
	defines   map[string]bool // functions that they define or declare: BTF has assembly as void f(void)
}

var (
	question   = regexp.MustCompile(`\bHAVE_(?:EXPORT|ENUM|FIELD)_\w+`)
	identifier = regexp.MustCompile(`[A-Za-z_]\w*`)
	definition = regexp.MustCompile(`(?m)^(?:static (?:__always_)?inline|extern) [^;{(=]*?\b(\w+)\(`)
)

var readShims = sync.OnceValues(func() (*shims, error) {
	s := &shims{words: map[string]bool{}, defines: map[string]bool{}}
	h := sha256.New()
	err := fs.WalkDir(headers, "include", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := headers.ReadFile(path)
		if err != nil {
			return err
		}
		h.Write([]byte(path + "\n"))
		h.Write(text)
		s.questions = append(s.questions, question.FindAllString(string(text), -1)...)
		for _, w := range identifier.FindAllString(string(text), -1) {
			s.words[w] = true
		}
		for _, m := range definition.FindAllStringSubmatch(string(text), -1) {
			s.defines[m[1]] = true
		}
		return nil
	})
	slices.Sort(s.questions)
	s.questions = slices.Compact(s.questions)
	s.digest = hex.EncodeToString(h.Sum(nil))
	return s, err
})

// hasHeader says whether a header can be included on this route.
func hasHeader(name string) bool {
	_, err := fs.Stat(headers, "include/"+name)
	return err == nil
}

// writeHeaders writes our headers below dir.
func writeHeaders(dir string) error {
	sub, err := fs.Sub(headers, "include")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.CopyFS(filepath.Clean(dir), sub)
}
