// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"bufio"
	"bytes"
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

// configValues gives the values of those options that wanted has, which are
// set, in one reading of the .config; none for a kit without one.
func (k *Kit) configValues(wanted map[string]bool) map[string]string {
	values := map[string]string{}
	if k.ConfigFile == "" {
		return values
	}
	text, err := os.ReadFile(k.ConfigFile)
	if err != nil {
		return values
	}
	for len(text) > 0 {
		var line []byte
		line, text, _ = bytes.Cut(text, []byte("\n"))
		if name, value, ok := bytes.Cut(line, []byte("=")); ok && wanted[string(name)] {
			values[string(name)] = strings.Trim(string(value), `"`)
		}
	}
	return values
}

// ConfigSHA256 is the SHA-256 of the kernel's own .config in hex, "" for a kit
// without one.
func (k *Kit) ConfigSHA256() (string, error) {
	if k.ConfigFile == "" || k.ConfigDeduced {
		return "", nil
	}
	text, err := os.ReadFile(k.ConfigFile)
	if err != nil {
		return "", fmt.Errorf("config of kernel %s: %w", k.Release, err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:]), nil
}
