// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"fmt"
	"slices"
	"strings"

	"github.com/switchyard-project/switchyard/harness/patch/object"
	"github.com/switchyard-project/switchyard/harness/patch/refusal"
)

// Alone says that one of the objects has a function of the source as a symbol
// of its own, whole or in parts: it was not taken into its callers everywhere.
func (d *Difference) Alone(function string) bool {
	for _, u := range []*unit{d.pre, d.post} {
		for _, a := range u.atoms {
			if a.code && slices.ContainsFunc(a.symbols, func(s *object.Symbol) bool { return parent(s.Name) == function }) {
				return true
			}
		}
	}
	return false
}

// Inlined turns refusals about functions that the author did not touch into
// such about those that he did, where these exist only within others: he
// looks for the name that he knows. touched are the functions of the source
// that the diff changes.
func (d *Difference) Inlined(touched []string, refused []*refusal.Refusal) {
	var hidden []string
	for _, f := range touched {
		if !d.Alone(f) {
			hidden = append(hidden, f)
		}
	}
	if len(hidden) == 0 {
		return
	}
	for _, r := range refused {
		switch r.Code {
		case refusal.NoTrace, refusal.NoFentry, refusal.InitExit, refusal.Special:
		default:
			continue
		}
		if r.Function == "" || slices.Contains(touched, r.Function) {
			continue
		}
		into, why := r.Function, r.Text
		if len(hidden) == 1 {
			r.Function = hidden[0]
			r.Text = fmt.Sprintf("has no copy that stands alone; it is inlined into %s(), which %s", into, why)
		} else {
			r.Text = fmt.Sprintf("one of %s() is inlined into it, and it %s", strings.Join(hidden, "(), "), why)
		}
		r.Code = refusal.Inlined
	}
}
