// SPDX-License-Identifier: Apache-2.0

package diff

import (
	"fmt"

	"github.com/switchyard-project/switchyard/harness/patch/klp"
	"github.com/switchyard-project/switchyard/harness/patch/object"
	"github.com/switchyard-project/switchyard/harness/patch/refusal"
	"github.com/switchyard-project/switchyard/harness/patch/runpre"
)

// constants refuses code with constants that the kernel wrote into its own
// while it started, where it has no variable of the value (any more).
func (r *resolver) constants(u taken, part *klp.Part) error {
	for _, name := range part.Constants() {
		found, err := r.im.Lookup(klp.VMLinux, name)
		if err != nil {
			return fmt.Errorf("look %s up in the image of %s: %w", name, r.kit.Release, err)
		}
		if len(found) != 1 {
			r.fail(noConstant(u.Source, holder(part.Code, name), name, found))
		}
	}
	return nil
}

func noConstant(source, function, name string, found []runpre.Place) *refusal.Refusal {
	return &refusal.Refusal{
		Code: refusal.Special, File: source, Function: function,
		Text:   fmt.Sprintf("holds a constant that the kernel wrote into its code when it started, from a variable %s of which it has %d symbols", name, len(found)),
		Advice: "patch a caller of it instead",
	}
}

// holder is a function whose code has the constant.
func holder(o *object.Object, name string) string {
	for _, kind := range []string{"ptr", "shift", "mask"} {
		s := o.Section("runtime_" + kind + "_" + name)
		if s == nil {
			continue
		}
		for _, at := range s.Relocs {
			if at.Symbol.Section == nil {
				continue
			}
			if f := o.Function(at.Symbol.Section, at.Symbol.Value+uint64(at.Addend)); f != nil {
				return f.Name
			}
		}
	}
	return ""
}
