// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"testing"

	"github.com/switchyard-project/switchyard/harness/patch"
	"github.com/switchyard-project/switchyard/harness/run"
)

// before is what Boot does to a guest once, before it is saved: tests that ask
// for the same begin with a fork of the snapshot behind it, 0.1 s each.
type before struct{ with, live []string }

// With has the modules at paths (folders or C files) loaded when the guest
// comes up, in this order.
func With(paths ...string) Option {
	return func(_ testing.TB, o *options) { o.before.with = append(o.before.with, paths...) }
}

// Live has the patches at paths, and the modules of their with/ folders,
// applied when the guest comes up. Patches gives them.
func Live(paths ...string) Option {
	return func(_ testing.TB, o *options) { o.before.live = append(o.before.live, paths...) }
}

// layer builds what the options ask for.
func (v *VM) layer(t testing.TB) (l run.Layer) {
	t.Helper()
	for _, path := range v.options.before.with {
		l.With = append(l.With, v.Build(t, path))
	}
	for _, path := range v.options.before.live {
		src, err := patch.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range patch.Needed(src) {
			l.With = append(l.With, v.build(t, w))
		}
		l.Live = append(l.Live, v.build(t, src))
	}
	return l
}

// Patch gives a patch that Live applied, by its place there.
func (v *VM) Patch(t testing.TB, i int) *Patch {
	t.Helper()
	live := v.options.config.Layer.Live
	if i < 0 || i >= len(live) {
		t.Fatalf("patch %d of the %d that Live applied", i, len(live))
	}
	p := &Patch{Module: live[i], vm: v}
	return p.followed(v.Guest.LiveSince(live[i]))
}
