// SPDX-License-Identifier: Apache-2.0

package runpre

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/patch/object"
)

// FuzzMatch holds that a hostile object, as a module and as what is compared
// with one, gives an error or a report and never a panic.
func FuzzMatch(f *testing.F) {
	flags := "-foptimize-sibling-calls"
	good := compile(f, files{"x.c": mutated}, "gcc-14 "+small+" "+flags+" -ffunction-sections -fdata-sections -c -o x.o x.c")
	im := kernelOf(f, files{"b.c": mutated}, flags)
	f.Add(good)
	f.Add(good[:len(good)/2])
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := object.Read("fuzz", bytes.NewReader(data))
		if err != nil {
			return
		}
		report, err := Match(o, im, "m")
		require.NoError(t, err)
		for _, r := range report.Functions {
			require.Equal(t, r.OK, r.Why == "")
			require.LessOrEqual(t, r.Offset, r.Symbol.Size)
		}
		other := &Image{vmlinux: im.vmlinux, modules: map[string]*space{}}
		s, err := other.load("fuzz", data, nil)
		if err != nil {
			return
		}
		other.modules["fuzz"] = s
		_, err = Match(o, other, "fuzz")
		require.NoError(t, err)
	})
}
