// SPDX-License-Identifier: Apache-2.0

package selftests

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What functions.sh prints, on stdout and stderr together, in the ways in which
// a script can end.
func TestRead(t *testing.T) {
	for name, c := range map[string]struct {
		output string
		status int
		want   Outcome
	}{
		"all ok": {"TEST: basic function patching ... ok\nTEST: atomic replace livepatch ... ok\n", 0,
			Outcome{OK, "", []Test{{"basic function patching", OK}, {"atomic replace livepatch", OK}}}},
		"another log than expected": {"TEST: one ... ok\nTEST: two ... not ok\n\n--- expected\n+++ result\n@@ -1 +1 @@\n-livepatch: a\n+livepatch: b\n\nERROR: livepatch kselftest(s) failed\n", 1,
			Outcome{Fail, "livepatch kselftest(s) failed", []Test{{"one", OK}, {"two", Fail}}}},
		"another file than expected": {"TEST: one ... FAIL\n\nERROR: livepatch kselftest(s) failed\n", 1,
			Outcome{Fail, "livepatch kselftest(s) failed", []Test{{"one", Fail}}}},
		"a module is missing": {"TEST: one ... ok\nTEST: two ... SKIP: unable to load module x, verify CONFIG_TEST_LIVEPATCH=m and run self-tests as root\n", 4,
			Outcome{Skip, "unable to load module x, verify CONFIG_TEST_LIVEPATCH=m and run self-tests as root", []Test{{"one", OK}, {"two", Skip}}}},
		"before the first test": {"skip all tests: KDIR (/lib/modules/6/build) not available to compile modules.\n", 4,
			Outcome{Skip, "KDIR (/lib/modules/6/build) not available to compile modules.", nil}},
		"gave up in a test":  {"TEST: one ... ERROR: failed to complete transition\n", 1, Outcome{Fail, "failed to complete transition", []Test{{"one", Fail}}}},
		"words in between":   {"TEST: one ... ./functions.sh: line 3: warning\nok\n", 0, Outcome{OK, "", []Test{{"one", OK}}}},
		"no words":           {"", 127, Outcome{Fail, "exit status 127", nil}},
		"not functions.sh's": {"sh: ./x.sh: not found\n", 127, Outcome{Fail, "exit status 127: sh: ./x.sh: not found", nil}},
		// A script's exit status is its result; what it printed says where.
		"ok, and yet not": {"TEST: one ... ok\n", 1, Outcome{Fail, "exit status 1: ok", []Test{{"one", OK}}}},
		"an ok elsewhere": {"ok\nTEST: one ... not ok\nok\n", 1, Outcome{Fail, "exit status 1: ok", []Test{{"one", Fail}}}},
	} {
		require.Equal(t, c.want, Read(c.output, c.status), name)
	}
}

func FuzzRead(f *testing.F) {
	f.Add("TEST: one ... SKIP: x\n", 4)
	f.Add("TEST:  ... ... not ok", 1)
	f.Fuzz(func(t *testing.T, output string, status int) {
		o := Read(output, status)
		if (o.Result == OK) != (status == 0) || (o.Result == Skip) != (status == skipStatus) {
			t.Fatalf("status %d is %s", status, o.Result)
		}
		if (o.Result == OK) != (o.Reason == "") {
			t.Fatalf("%s with the reason %q", o.Result, o.Reason)
		}
	})
}
