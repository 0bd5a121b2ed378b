// SPDX-License-Identifier: Apache-2.0

package klp

import "github.com/switchyard-project/switchyard/kernels"

// Exported are the names that any module may use.
func Exported(kit *kernels.Kit) (map[string]bool, error) {
	all, err := readExports(kit)
	names := map[string]bool{}
	for name := range all {
		names[name] = all.plain(name)
	}
	return names, err
}
