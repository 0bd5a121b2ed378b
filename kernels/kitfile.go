// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// KitFile is the name of the file in a kit's folder that describes the kit.
const KitFile = "kit.json"

// WriteKitFile describes k in k.Dir. Paths inside the folder are written
// relative to it, since a cache entry is filled under another name than its
// final one.
func WriteKitFile(k *Kit) error {
	rel := rebased(k, func(path string) string {
		if inside, ok := strings.CutPrefix(path, k.Dir+"/"); ok {
			return inside
		}
		return path
	})
	rel.Dir = ""
	text, err := json.MarshalIndent(rel, "", "\t")
	if err != nil {
		return fmt.Errorf("describe kernel %s: %w", k.Release, err)
	}
	return os.WriteFile(filepath.Join(k.Dir, KitFile), append(text, '\n'), 0o644)
}

// ReadKitFile reads the description of the kit in the folder dir.
func ReadKitFile(dir string) (*Kit, error) {
	text, err := os.ReadFile(filepath.Join(dir, KitFile))
	if err != nil {
		return nil, fmt.Errorf("read kernel kit: %w", err)
	}
	var rel Kit
	if err := json.Unmarshal(text, &rel); err != nil {
		return nil, fmt.Errorf("read kernel kit %s: %w", filepath.Join(dir, KitFile), err)
	}
	k := rebased(&rel, func(path string) string {
		if path == "" || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(dir, path)
	})
	k.Dir = dir
	return k, nil
}

// rebased copies k with each host path changed by move.
func rebased(k *Kit, move func(string) string) *Kit {
	c := *k
	for _, path := range []*string{&c.VMLinux, &c.BZImage, &c.ConfigFile, &c.SystemMap, &c.ModulesDir, &c.SourceDir, &c.BuildDir} {
		*path = move(*path)
	}
	c.Mounts = nil
	for _, m := range k.Mounts {
		c.Mounts = append(c.Mounts, Mount{move(m.Host), m.Inside})
	}
	return &c
}
