// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
)

// ConfigValue is the value of an option in the kernel's .config: "y", "m", a
// number, a string without its quotes; "" for an option that is not set, and
// for a kit without a config. The option is named with its prefix:
// "CONFIG_LIVEPATCH".
func (k *Kit) ConfigValue(option string) string {
	if k.ConfigFile == "" {
		return ""
	}
	f, err := os.Open(k.ConfigFile)
	if err != nil {
		return ""
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if value, ok := strings.CutPrefix(lines.Text(), option+"="); ok {
			return strings.Trim(value, `"`)
		}
	}
	return ""
}

// config is the whole .config; empty for a kit without one. The option is named
// with its prefix.
func (k *Kit) config() map[string]string {
	values := map[string]string{}
	if k.ConfigFile == "" {
		return values
	}
	text, err := os.ReadFile(k.ConfigFile)
	if err != nil {
		return values
	}
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "="); ok && strings.HasPrefix(name, "CONFIG_") {
			values[name] = strings.Trim(value, `"`)
		}
	}
	return values
}

// ConfigSHA256 is the SHA-256 of the .config file in hex, "" for a kit without
// one.
func (k *Kit) ConfigSHA256() (string, error) {
	if k.ConfigFile == "" {
		return "", nil
	}
	text, err := os.ReadFile(k.ConfigFile)
	if err != nil {
		return "", fmt.Errorf("config of kernel %s: %w", k.Release, err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}
