// SPDX-License-Identifier: Apache-2.0

package source

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every fragment says what it is for, sets each option once, and changes
// something: over the base, but for those that are for other configs.
func TestFragments(t *testing.T) {
	base, err := openFragment(baseFragment)
	require.NoError(t, err)
	has := map[string]string{}
	for _, o := range base.options {
		has[o.name] = o.value
	}
	names := Fragments()
	assert.NotContains(t, names, baseFragment)
	for _, name := range append(names, baseFragment) {
		f, err := openFragment(name)
		require.NoError(t, err)
		lines := strings.Split(string(f.text), "\n")
		assert.Equal(t, "# SPDX-License-Identifier: Apache-2.0", lines[0], name)
		assert.Regexp(t, `^# [A-Z]`, lines[1], "%s: the reason comes first", name)
		seen := map[string]bool{}
		for _, o := range f.options {
			assert.False(t, seen[o.name], "%s: %s twice", name, o.name)
			seen[o.name] = true
		}
		assert.NoError(t, checkLabel(labelFrom(name)))
	}
	for _, need := range needs {
		f, err := openFragment(need.fragment)
		require.NoError(t, err)
		assert.Contains(t, f.options, option{need.name, "y"}, "the remedy for %s", need.name)
		assert.Contains(t, need.values, has[need.name], "the base has %s", need.name)
	}
	live, err := openFragment("livepatch")
	require.NoError(t, err)
	for _, name := range livepatchNeeds {
		assert.Contains(t, live.options, option{name, "y"})
	}
}

func TestMerged(t *testing.T) {
	one, err := parseFragment("one", []byte("CONFIG_A=y\nCONFIG_B=m\n# CONFIG_C is not set\n# a comment\n\nCONFIG_S=\"a b\"\n"))
	require.NoError(t, err)
	two, err := parseFragment("two", []byte("CONFIG_A=n\nCONFIG_C=y\n"))
	require.NoError(t, err)
	all := merged([]fragment{one, two})
	assert.Equal(t, []option{{"CONFIG_A", "n"}, {"CONFIG_B", "m"}, {"CONFIG_C", "y"}, {"CONFIG_S", `"a b"`}}, all)
	assert.Equal(t, "# CONFIG_A is not set\nCONFIG_B=m\nCONFIG_C=y\nCONFIG_S=\"a b\"\n", string(configText(all)))
}

func TestCounter(t *testing.T) {
	c := &counter{}
	for _, piece := range []string{
		"  CC      init/main.o\n  CC [M]  net/sched/sch_teql.o\n  AS      arch/x86/entry/entry_64.o\n  LD      vmlinux.o\n", "  HOSTCC  scripts/x.o\n  CC      ker",
		"nel/fork.o\n", "set -e;  echo '  CC      mm/slub.o';  gcc -c -o mm/slub.o\n", "  CC      kernel/bounds.s\n",
	} {
		n, err := c.Write([]byte(piece))
		require.NoError(t, err)
		assert.Equal(t, len(piece), n)
	}
	assert.Equal(t, int64(5), c.n)
}
