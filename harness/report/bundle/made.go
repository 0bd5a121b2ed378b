// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"cmp"
	"runtime"
	"runtime/debug"
)

// MadeHere are the versions of this program, with that of the QEMU in use.
func MadeHere(qemu string) Made {
	m := Made{Switchyard: "unknown", Go: runtime.Version(), QEMU: qemu}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return m
	}
	m.Switchyard = cmp.Or(info.Main.Version, m.Switchyard)
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			m.Switchyard += " " + s.Value
		}
	}
	return m
}
