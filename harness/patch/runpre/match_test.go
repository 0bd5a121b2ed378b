// SPDX-License-Identifier: Apache-2.0

package runpre

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var testingContext = context.Background()

func TestTmpMatch(t *testing.T) {
	kit := builtKit(t)
	im, err := OpenImage(kit)
	require.NoError(t, err)
	for _, source := range strings.Fields(os.Getenv("UNITS")) {
		source, object, _ := strings.Cut(source, "=")
		if object == "" {
			object = VMLinux
		}
		o := compileUnit(t, kit, source, nil)
		r, err := Match(o, im, object)
		require.NoError(t, err)
		ok := 0
		for _, f := range r.Functions {
			if f.OK {
				ok++
			} else {
				t.Logf("%s: %s %s %#x@%#x: %s", source, f.Symbol.Section.Name, f.Name, f.Address, f.Offset, f.Why)
			}
		}
		named := 0
		for s, p := range r.Symbols {
			if p.Name == "" {
				t.Logf("no name: %s %v %#x", s.Name, s.Type, p.Address)
			} else {
				named++
			}
		}
		t.Logf("%s: %d of %d functions, %d symbols of %d", source, ok, len(r.Functions), named, len(o.Symbols))
	}
}
