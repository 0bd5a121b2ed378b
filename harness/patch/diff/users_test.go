// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestNaming: who names what a header changed, by however many headers.
func TestNaming(t *testing.T) {
	texts := map[string][]byte{
		"include/a.h":   []byte("static inline int area(int x)\n{\n\treturn x * x;\n}\n"),
		"include/b.h":   []byte("#define VOLUME(x) (area(x) * (x))\n#define OTHER(x) (x)\n"),
		"include/c.h":   []byte("static inline int weight(int x)\n{\n\treturn VOLUME(x) * 8;\n}\n"),
		"one/direct.c":  []byte("int f(void)\n{\n\treturn area(2);\n}\n"),
		"one/far.c":     []byte("int g(void)\n{\n\treturn weight(2);\n}\n"),
		"one/not.c":     []byte("int h(void)\n{\n\treturn OTHER(2) + my_area(3) + areas;\n}\n"),
		"one/whole.c":   []byte("#include \"direct.c\"\n"),
		"two/whole.c":   []byte("# include \"../one/far.c\"\n"),
		"two/another.c": []byte("#include \"indirect.c\"\n"),
	}
	require.Equal(t, []string{"one/direct.c", "one/far.c", "one/whole.c", "two/whole.c"}, naming(map[string]bool{"area": true}, texts))
	require.Empty(t, naming(map[string]bool{"length": true}, texts))

	for i := range plenty + 1 {
		texts[fmt.Sprintf("many/%d.c", i)] = texts["one/direct.c"]
	}
	require.Greater(t, len(naming(map[string]bool{"area": true}, texts)), plenty)
}
