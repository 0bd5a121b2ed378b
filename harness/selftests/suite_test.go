// SPDX-License-Identifier: Apache-2.0

package selftests

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/kernels"
)

// TestParseLists reads the Makefiles of 6.6 and 6.12 as they are.
func TestParseLists(t *testing.T) {
	const old = `# SPDX-License-Identifier: GPL-2.0

TEST_PROGS_EXTENDED := functions.sh
TEST_PROGS := \
	test-livepatch.sh \
	test-callbacks.sh \
	test-sysfs.sh

TEST_FILES := settings

include ../lib.mk
`
	require.Equal(t, map[string][]string{
		"TEST_PROGS_EXTENDED": {"functions.sh"},
		"TEST_PROGS":          {"test-livepatch.sh", "test-callbacks.sh", "test-sysfs.sh"},
		"TEST_FILES":          {"settings"},
	}, parseLists(old))
	require.Equal(t, map[string][]string{
		"TEST_GEN_FILES":    {"test_klp-call_getpid"},
		"TEST_GEN_MODS_DIR": {"test_modules"},
		"TEST_PROGS":        {"a.sh", "b.sh"},
	}, parseLists("TEST_GEN_FILES := test_klp-call_getpid\nTEST_GEN_MODS_DIR := test_modules\nTEST_PROGS := a.sh # b\nTEST_PROGS += \\\n\tb.sh\n"))
	require.Empty(t, parseLists("include ../lib.mk\n"))
}

func TestSelect(t *testing.T) {
	s := &Suite{Scripts: []string{"test-livepatch.sh", "test-callbacks.sh", "test-state.sh"}}
	for _, c := range []struct{ names, want []string }{
		{nil, s.Scripts},
		{[]string{"state", "test-livepatch.sh"}, []string{"test-livepatch.sh", "test-state.sh"}}, // in the suite's order
		{[]string{"callbacks.sh", "test-callbacks"}, []string{"test-callbacks.sh"}},
	} {
		got, err := s.Select(c.names...)
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
	_, err := s.Select("state", "none")
	var missing *NoScriptError
	require.ErrorAs(t, err, &missing)
	require.ErrorContains(t, err, `no "none"`)
	require.ErrorContains(t, err, "test-callbacks.sh")
	require.Equal(t, []string{"test-livepatch.sh", "test-callbacks.sh", "test-state.sh"}, s.Scripts)
}

// TestSkips: each row is of a capability that there is, and says where it is
// known from.
func TestSkips(t *testing.T) {
	for _, s := range skips {
		require.Contains(t, kernels.Capabilities(), s.lacks, s.script)
		require.NotEmpty(t, s.why, s.script)
		require.NotEmpty(t, s.source, s.script)
		require.Regexp(t, `^test-[a-z-]+\.sh$`, s.script)
	}
}
