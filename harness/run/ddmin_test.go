// SPDX-License-Identifier: Apache-2.0

package run

import (
	"errors"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestDDMin: of any items, what is left is what a rule needs, of which nothing
// can be left out, in the order that it had; and where the rule is that some
// items must be there, just these.
func TestDDMin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 40).Draw(t, "n")
		items := make([]int, n)
		for i := range items {
			items[i] = i
		}
		// Any one of some groups must be whole.
		groups := rapid.SliceOfN(rapid.SliceOfNDistinct(rapid.IntRange(0, max(n-1, 0)), 0, min(n, 5), rapid.ID[int]), 1, 3).Draw(t, "groups")
		tries := 0
		still := func(some []int) (bool, error) {
			tries++
			return slices.ContainsFunc(groups, func(group []int) bool {
				return !slices.ContainsFunc(group, func(i int) bool { return !slices.Contains(some, i) })
			}), nil
		}
		least, err := ddmin(items, still)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.IsSorted(least) {
			t.Fatalf("%v is in another order", least)
		}
		if n > 0 {
			if ok, _ := still(least); !ok {
				t.Fatalf("%v does not do it", least)
			}
		}
		for i := range least {
			if ok, _ := still(slices.Delete(slices.Clone(least), i, i+1)); ok {
				t.Fatalf("%v does it without %d", least, least[i])
			}
		}
		if tries > n*n+4*n+10 {
			t.Fatalf("%d tries for %d items", tries, n)
		}
	})
}

// TestDDMinEnds: an error ends it, and nothing is tried behind it.
func TestDDMinEnds(t *testing.T) {
	broken := errors.New("broken")
	tries := 0
	_, err := ddmin([]int{1, 2, 3, 4}, func(some []int) (bool, error) {
		if tries++; tries == 3 {
			return false, broken
		}
		return false, nil
	})
	require.ErrorIs(t, err, broken)
	require.Equal(t, 3, tries)
}

// TestPrintable: nothing of a stranger's draws on a terminal.
func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"switchyard run a.ko":            "switchyard run a.ko",
		"\x1b[2Jgone\r\nX":               "�[2Jgone��X",
		"a\u202eok.c":                    "a�ok.c", // would turn round what follows
		"\u009b31m":                      "�31m",   // CSI as one character
		"bad \xff\xfe":                   "bad ��",
		"zero\u200bwidth and é, 日本 stay": "zero�width and é, 日本 stay",
	} {
		require.Equal(t, want, Printable(text))
	}
	require.LessOrEqual(t, len(Printable(string(make([]byte, 1<<20)))), 3*mostPrinted+3)
}
