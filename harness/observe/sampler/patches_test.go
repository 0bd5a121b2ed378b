// SPDX-License-Identifier: Apache-2.0

package sampler

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/observe"
)

// The steps are what sysfs shows at one look after the other, "name=TE" or "name=TER" with
// the values of transition, enabled and, where the kernel tells, replace; a name that is missing has no folder.
func TestEdges(t *testing.T) {
	for name, tc := range map[string]struct {
		looks []string
		want  []string // "look: patch edge to [flags]"
	}{
		"apply and revert": {
			[]string{"", "p=10", "p=11", "p=11", "p=01", "p=01", "p=10", "p=00"},
			[]string{"1: p start apply", "4: p end apply", "6: p start revert", "7: p end revert"},
		},
		"the core sets enabled a moment after transition": {
			[]string{"", "p=10", "p=11", "p=01", "p=11", "p=10", ""},
			[]string{"1: p start apply", "3: p end apply", "4: p start revert", "6: p end revert vanished"},
		},
		"reversal": {
			[]string{"", "p=11", "p=11", "p=10", "p=10", "p=00"},
			[]string{"1: p start apply", "3: p reverse revert", "5: p end revert"},
		},
		"reversal there and back": {
			[]string{"", "p=11", "p=10", "p=11", "p=01"},
			[]string{"1: p start apply", "2: p reverse revert", "3: p reverse apply", "4: p end apply"},
		},
		"reversal that takes the folder along": {
			[]string{"", "p=11", "p=10", ""},
			[]string{"1: p start apply", "2: p reverse revert", "3: p end revert vanished"},
		},
		"between two looks": {
			[]string{"", "p=01", ""},
			[]string{"1: p start apply unseen", "1: p end apply unseen", "2: p start revert unseen", "2: p end revert unseen vanished"},
		},
		"there before us": {
			[]string{"p=01 q=11", "p=01 q=01"},
			[]string{"0: q start apply unseen", "1: q end apply"},
		},
		"loaded and not yet begun": {
			[]string{"", "p=00", "p=10", "p=01"},
			[]string{"2: p start apply", "3: p end apply"},
		},
		"replaced": {
			[]string{"p=01", "p=01 q=11", "p=00 q=01", "q=01"},
			[]string{"1: q start apply", "2: p replaced ", "2: q end apply"},
		},
		"replaced, folder and all": {
			[]string{"p=01", "p=01 q=11", "p=01 q=01", "q=01"},
			[]string{"1: q start apply", "2: q end apply", "3: p replaced  vanished"},
		},
		"reverted at once, as the one above it was": {
			[]string{"p=01", "p=01 q=11", "p=01 q=01", "p=01 q=10", "p=01", ""},
			[]string{"1: q start apply", "2: q end apply", "3: q start revert", "4: q end revert vanished", "5: p start revert unseen", "5: p end revert unseen vanished"},
		},
		"reverted under one that is known not to replace": {
			[]string{"p=010", "p=010 q=110", "p=010 q=010", "q=010"},
			[]string{"1: q start apply", "2: q end apply", "3: p start revert unseen", "3: p end revert unseen vanished"},
		},
		"replaced by one that is known to": {
			[]string{"p=011", "p=011 q=111", "p=011 q=011", "q=011"},
			[]string{"1: q start apply", "2: q end apply", "3: p replaced  vanished"},
		},
		"gone and back with the same name": {
			[]string{"p=01", "", "p=11", "p=01"},
			[]string{"1: p start revert unseen", "1: p end revert unseen vanished", "2: p start apply", "3: p end apply"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			var got []string
			look := 0
			s := newPatches(root, func(e observe.Event) { got = append(got, describe(look, e.Transition)) })
			defer s.close()
			for i, state := range tc.looks {
				look = i
				showPatches(t, root, state)
				s.look(int64(1000 + i))
			}
			require.Equal(t, tc.want, got)
		})
	}
}

func describe(look int, tr *observe.Transition) string {
	text := string(rune('0'+look)) + ": " + tr.Patch + " " + tr.Edge + " " + tr.To
	if tr.Unseen {
		text += " unseen"
	}
	if tr.Vanished {
		text += " vanished"
	}
	return text
}

func showPatches(t *testing.T, root, state string) {
	t.Helper()
	there := map[string]bool{}
	for _, item := range strings.Fields(state) {
		name, values, _ := strings.Cut(item, "=")
		there[name] = true
		require.NoError(t, os.MkdirAll(filepath.Join(root, name), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(root, name, "transition"), []byte(values[:1]+"\n"), 0o644))
		require.NoError(t, os.WriteFile(filepath.Join(root, name, "enabled"), []byte(values[1:2]+"\n"), 0o644))
		if len(values) > 2 {
			require.NoError(t, os.WriteFile(filepath.Join(root, name, "replace"), []byte(values[2:]+"\n"), 0o644))
		}
	}
	entries, err := os.ReadDir(root)
	require.NoError(t, err)
	for _, e := range entries {
		if !there[e.Name()] {
			// A removed file of sysfs fails reads of open descriptors; one that
			// is cut off first does so here.
			require.NoError(t, os.Truncate(filepath.Join(root, e.Name(), "transition"), 0))
			require.NoError(t, os.RemoveAll(filepath.Join(root, e.Name())))
		}
	}
}
