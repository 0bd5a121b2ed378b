// SPDX-License-Identifier: Apache-2.0

package local

import (
	"bytes"
	"debug/elf"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/switchyard-project/switchyard/kernels"
)

// FuzzImage: no file makes the reading of images panic, and what is read can
// be put into a path.
func FuzzImage(f *testing.F) {
	f.Add([]byte("MZ"))
	f.Add(with(make([]byte, 1024), 0x1fe, 0x55, 0xaa, 0xeb, 0x66, 'H', 'd', 'r', 'S', 0x0f, 0x02))
	f.Add(foreignELF(elf.ELFCLASS64, elf.EM_X86_64))
	f.Add([]byte("Linux version 6.1.0 (a@b) (gcc) #1 SMP\n"))
	f.Add(append([]byte("IKCFG_ST"), 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3))
	f.Fuzz(func(t *testing.T, text []byte) {
		im := &image{}
		if im.read(bytes.NewReader(text), text[:min(len(text), 4096)]) == nil {
			assert.True(t, kernels.IsRelease(im.release), im.release)
		}
		release, _, err := findBanner(bytes.NewReader(text))
		if err == nil {
			assert.True(t, kernels.IsRelease(release), release)
		}
		if config, err := findIKConfig(bytes.NewReader(text)); err == nil {
			parseConfig(config)
		}
		_, _, _ = debugSections(bytes.NewReader(text))
	})
}
