// SPDX-License-Identifier: Apache-2.0

package klp

import (
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/object"
)

// perCPU is the one section of which the loader makes data of each CPU's. The
// image has more, by how the data is aligned and used (.data..percpu..first,
// ..shared_aligned, ..read_mostly): kept in a module under such a name it would
// be ordinary data, and code would change memory of somebody else's by its
// address. Source: find_pcpusec() in kernel/module/main.c, and
// include/linux/percpu-defs.h, where these names are left out for modules.
const perCPU = ".data..percpu"

// joinPerCPU gives an object's per-CPU data the section that modules have.
func joinPerCPU(o *object.Object) {
	for _, s := range o.Sections {
		if strings.HasPrefix(s.Name, perCPU+"..") {
			s.Name = perCPU
		}
	}
}
