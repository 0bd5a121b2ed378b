// SPDX-License-Identifier: Apache-2.0

package local

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/switchyard-project/switchyard/kernels"
)

// maxConfig bounds a .config, in bytes; distributions' have 300 KB.
const maxConfig = 16 << 20

// findIKConfig gives the .config that an uncompressed image holds, nil if it
// holds none (CONFIG_IKCONFIG).
//
// Source: kernel/configs.c, kernel_config_data: "IKCFG_ST", the gzipped
// .config, "IKCFG_ED"; scripts/extract-ikconfig finds it the same way.
func findIKConfig(f io.ReaderAt) ([]byte, error) {
	start := []byte("IKCFG_ST")
	for at := int64(0); ; at++ {
		var err error
		if at, err = kernels.Find(f, at, start); err != nil || at < 0 {
			return nil, err
		}
		z, err := gzip.NewReader(io.NewSectionReader(f, at+int64(len(start)), maxConfig))
		if err != nil {
			continue // the words alone, in some string
		}
		z.Multistream(false)
		text, err := io.ReadAll(io.LimitReader(z, maxConfig+1))
		if err != nil {
			return nil, fmt.Errorf("the config in the image (CONFIG_IKCONFIG) is damaged: %w", err)
		}
		if len(text) > maxConfig {
			return nil, fmt.Errorf("the config in the image (CONFIG_IKCONFIG) has more than %d MiB", maxConfig>>20)
		}
		return text, nil
	}
}

// config is a .config's options that are set, with their values, by the name
// with its prefix: "CONFIG_LIVEPATCH".
type config map[string]string

func parseConfig(text []byte) config {
	c := config{}
	for line := range bytes.Lines(text) {
		name, value, ok := strings.Cut(strings.TrimSpace(string(line)), "=")
		if ok && strings.HasPrefix(name, "CONFIG_") {
			// In .config strings are quoted, in auto.conf they are bare.
			if bare, err := strconv.Unquote(value); err == nil {
				value = bare
			}
			c[name] = value
		}
	}
	return c
}

func readConfig(path string) (config, []byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, fmt.Errorf("its config %s cannot be read: %w", path, err)
	}
	return parseConfig(text), text, nil
}
