// SPDX-License-Identifier: Apache-2.0

package klp

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/switchyard-project/switchyard/kernels"
)

// export is one exported symbol.
type export struct {
	owner     string // VMLinux or a module's name
	namespace string // "" without one
}

// exports are the symbols that the kernel and its own modules export.
type exports map[string]export

// readExports reads the list that kbuild checks modules against.
func readExports(kit *kernels.Kit) (exports, error) {
	inside := path.Join(kit.HeadersDir, "Module.symvers")
	for _, m := range kit.Mounts {
		rest, ok := strings.CutPrefix(inside, strings.TrimSuffix(m.Inside, "/")+"/")
		if !ok {
			continue
		}
		f, err := os.Open(filepath.Join(m.Host, rest))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		defer f.Close()
		all, err := parseExports(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		return all, nil
	}
	return nil, &kernels.Lacking{What: "the list of symbols that " + kit.Release + " exports (" + inside + ")", Remedy: "get the kernel anew: `switchyard kernels get`"}
}

// parseExports reads lines of CRC, symbol, module, kind and namespace. The
// module is a path without suffix of a module that comes with the kernel.
func parseExports(r io.Reader) (exports, error) {
	all := exports{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		if len(fields) < 4 {
			return nil, fmt.Errorf("%q is not CRC, symbol, module and kind", lines.Text())
		}
		e := export{owner: strings.ReplaceAll(path.Base(fields[2]), "-", "_")}
		if len(fields) > 4 {
			e.namespace = fields[4]
		}
		all[fields[1]] = e
	}
	return all, lines.Err()
}

// plain says that any module may use name by an ordinary relocation, and that
// the kernel's image has it, so that it is always there.
func (e exports) plain(name string) bool {
	x, ok := e[name]
	return ok && x.owner == VMLinux && x.namespace == ""
}
