// SPDX-License-Identifier: Apache-2.0

package harness_test

import (
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const module = "github.com/switchyard-project/switchyard/"

// line is the way data goes; a room may import rooms of its own rank that are
// named with it, and those before it. run alone sees them all.
var line = [][]string{
	{"kernels", "kernels/guard", "kernels/download", "kernels/store", "kernels/debian", "kernels/local", "kernels/toolroot", "kernels/source"},
	{"images", "harness/patch/refusal"},
	{"harness/patch/object", "harness/patch/unified", "harness/patch/btf"},
	{"harness/patch/tree", "harness/patch/tree/treetest", "harness/patch/compare", "harness/patch/runpre"},
	{"harness/patch/klp"},
	{"harness/patch/diff"},
	{"harness/patch", "harness/selftests", "harness/debugger"},
	{"harness/vm", "harness/vm/qmp", "harness/channel", "harness/load", "harness/observe", "harness/observe/sampler", "harness/observe/calls", "harness/observe/lateness", "harness/mailbox", "harness/tasklist"},
	{"harness/check"},
	{"harness/report", "harness/report/bundle", "harness/report/compare"},
	{"harness/matrix"},
	{"harness/run"},
	{"harness"},
	{"cases", "cmd/switchyard"},
}

// apart are rooms that must know nothing of each other although the line
// would allow it: importer, then what it must not import, with the reason.
var apart = []struct{ room, from, why string }{
	{"harness/vm", "harness/patch", "a machine knows nothing of patches"},
	{"harness/vm", "images", "a machine boots any initramfs"},
	{"harness/observe", "harness/vm", "the timeline knows nothing of QEMU"},
	{"harness/check", "harness/vm", "verdicts come from evidence alone"},
	{"harness/check", "harness/channel", "verdicts come from evidence alone"},
	{"harness/observe", "harness/channel", "the timeline is what is carried, not the carrier"},
	{"harness/load", "harness/observe/sampler", "a load does its work whether or not it is watched"},
	{"images", "harness/patch", "patches reach the guest through the channel"},
	{"harness/tasklist", "harness/vm", "how memory is read is handed in"},
	{"harness/mailbox", "harness/vm", "a plan knows nothing of the machine it lies in"},
	{"harness/mailbox", "harness/channel", "a deterministic run has a mailbox and no channel"},
	{"harness/matrix", "harness/vm", "it is arithmetic"},
	{"cases", "harness/run", "an outside repository can hold its own cases"},
	{"cases", "harness/vm", "an outside repository can hold its own cases"},
}

// forTests are rooms of which tests are made, and nothing else: they know
// testing, as harness does, and only tests import them.
var forTests = []string{"harness/patch/tree/treetest"}

// guest is what runs in the guest; it must stay free of what runs outside.
var guest = []string{"cmd/guestd", "cases/tasks"}

type goPackage struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,TestImports,XTestImports", module+"...").Output()
	require.NoError(t, err)
	var all []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		err := d.Decode(&p)
		if errors.Is(err, io.EOF) {
			return all
		}
		require.NoError(t, err)
		all = append(all, p)
	}
}

// TestImportsGoOneWay holds the rooms to their order.
func TestImportsGoOneWay(t *testing.T) {
	rank := map[string]int{}
	for i, rooms := range line {
		for _, r := range rooms {
			rank[r] = i
		}
	}
	for _, p := range packages(t) {
		room := strings.TrimPrefix(p.ImportPath, module)
		mine, known := rank[room]
		inGuest := contains(guest, room)
		if !known && !inGuest {
			t.Errorf("package %s has no place in the line; give it one in this test", room)
			continue
		}
		for _, imp := range p.Imports {
			other, own := strings.CutPrefix(imp, module)
			if !own {
				if imp == "testing" && room != "harness" && !contains(forTests, room) {
					t.Errorf("%s imports testing; only harness may, and rooms for tests", room)
				}
				continue
			}
			if contains(forTests, other) {
				t.Errorf("%s imports %s, which is for tests", room, other)
			}
			if inGuest {
				if !contains([]string{"harness/channel", "harness/load", "harness/mailbox", "harness/observe", "harness/observe/sampler", "harness/observe/calls", "harness/observe/lateness"}, other) {
					t.Errorf("%s runs in the guest and imports %s", room, other)
				}
				continue
			}
			if rank[other] > mine {
				t.Errorf("%s imports %s, which stands right of it", room, other)
			}
			for _, a := range apart {
				if a.room == room && a.from == other {
					t.Errorf("%s imports %s: %s", room, other, a.why)
				}
			}
		}
		if room == "cases" {
			for _, imp := range append(p.TestImports, p.XTestImports...) {
				if other, own := strings.CutPrefix(imp, module); own && !contains([]string{"harness", "harness/check", "harness/observe", "kernels"}, other) {
					t.Errorf("cases import %s; a case uses harness, harness/check, harness/observe and kernels only", other)
				}
			}
		}
	}
}

func contains(all []string, one string) bool {
	for _, a := range all {
		if a == one {
			return true
		}
	}
	return false
}
