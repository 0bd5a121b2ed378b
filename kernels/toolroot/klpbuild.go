// SPDX-License-Identifier: Apache-2.0

package toolroot

import (
	"context"
	"slices"

	"github.com/switchyard-project/switchyard/kernels/debian"
	"github.com/switchyard-project/switchyard/kernels/store"
)

// klpBuildPart is the build part with what upstream's scripts/livepatch/klp-build
// calls for beside it. Nothing but the comparison with it fetches this.
var klpBuildPart = recipe{
	name: "klpbuild",
	want: append(slices.Clone(buildPart.want),
		choice{"libxxhash-dev", "objtool klp, which is left out of objtool without it"},
		choice{"gawk", "scripts/livepatch/fix-patch-lines, which mawk does not read"},
		choice{"patchutils", "recountdiff"},
		choice{"util-linux", "getopt"},
		choice{"libc-bin", "getconf"},
	),
	without: append(slices.Clone(buildPart.without),
		choice{"init-system-helpers", "services, of which there are none"},
		choice{"login", "as libpam0g"},
		choice{"login.defs", "as libpam0g"},
	),
	links: map[string]string{"usr/bin/awk": "gawk"},
}

// OpenKLPBuild gives a root that has what upstream's klp-build needs, too,
// fetching it (about 75 MB) once. Errors: *kernels.Lacking without a network.
func OpenKLPBuild(ctx context.Context, st *store.Store, ar *debian.Archive) (*Root, error) {
	return open(ctx, st, ar, klpBuildPart)
}
