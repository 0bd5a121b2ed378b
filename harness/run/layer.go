// SPDX-License-Identifier: Apache-2.0

package run

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/patch"
)

// Layer is what is done to a guest before it is saved: runs and cases that
// share a beginning share the snapshot behind it. It is done in this order.
type Layer struct {
	With  []*patch.Module // inserted
	Loads []load.Spec     // started, and running
	Live  []*patch.Module // livepatches, applied to their end
}

func (l Layer) empty() bool { return len(l.With)+len(l.Loads)+len(l.Live) == 0 }

// key tells layers apart: modules by their content.
func (l Layer) key() string {
	if l.empty() {
		return ""
	}
	var content struct {
		With, Live []string
		Loads      []load.Spec
	}
	for _, m := range l.With {
		content.With = append(content.With, m.SHA256)
	}
	for _, m := range l.Live {
		content.Live = append(content.Live, m.SHA256)
	}
	content.Loads = l.Loads
	text, _ := json.Marshal(content) // of strings and numbers
	return string(text)
}

// errUnfinished is a layer whose livepatch did not get through.
var errUnfinished = errors.New("its transition did not end")

// lay brings the guest to where the layer ends.
func (g *Guest) lay(ctx context.Context, l Layer) error {
	for _, m := range l.With {
		if err := g.Insert(ctx, m, ""); err != nil {
			return err
		}
	}
	for _, spec := range l.Loads {
		if _, err := g.Client.StartLoad(ctx, spec); err != nil {
			return fmt.Errorf("start load %s: %w", spec.Name, g.orDeath(err))
		}
	}
	for _, m := range l.Live {
		a, err := g.Apply(ctx, m, 0)
		if err == nil && !a.Done() {
			err = errUnfinished
		}
		if err != nil {
			return fmt.Errorf("apply %s: %w", m.Name, err)
		}
	}
	return nil
}

// layOrClose is lay for a guest that nobody has yet.
func (g *Guest) layOrClose(ctx context.Context, l Layer) error {
	err := g.lay(ctx, l)
	if err != nil {
		_ = g.Close(context.WithoutCancel(ctx))
	}
	return err
}

// LiveSince is the transition in which the layer below this guest applied m.
func (g *Guest) LiveSince(m *patch.Module) *Applied {
	return g.applied(m, observe.Apply)
}
