// SPDX-License-Identifier: Apache-2.0

package images

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"github.com/switchyard-project/switchyard/kernels/store"
)

// Agent builds cmd/guestd for the guest and gives the static binary's content.
func Agent(ctx context.Context, st *store.Store) ([]byte, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return nil, err
	}
	b, err := build(ctx, st, root, "./cmd/guestd")
	if err != nil {
		return nil, fmt.Errorf("build the guest's agent: %w", err)
	}
	return b, nil
}

// Program builds the Go command pkg, a path as `go build` takes it in the
// working folder, for the guest and gives the static binary's content.
func Program(ctx context.Context, st *store.Store, pkg string) ([]byte, error) {
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	b, err := build(ctx, st, dir, pkg)
	if err != nil {
		return nil, fmt.Errorf("build %s for the guest: %w", pkg, err)
	}
	return b, nil
}

// build builds pkg as it is called in dir. Go itself decides whether there is
// anything to do: the output stays at one place for each source, and `go build`
// leaves an output alone that is up to date.
func build(ctx context.Context, st *store.Store, dir, pkg string) ([]byte, error) {
	place := sha256.Sum256([]byte(dir + "\x00" + pkg))
	name := hex.EncodeToString(place[:8])
	unlock, err := st.Lock(ctx, "agents/"+name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	kept := filepath.Join(st.Dir, "agents", name)
	if err := os.MkdirAll(kept, 0o755); err != nil {
		return nil, store.DiskFull(err, st.Dir)
	}
	out := filepath.Join(kept, filepath.Base(pkg))
	if _, err := goCommand(ctx, dir, "build", "-trimpath", "-ldflags=-s -w", "-o", out, pkg); err != nil {
		return nil, err
	}
	// Read under the lock: another process may build a newer one next.
	return os.ReadFile(out)
}
