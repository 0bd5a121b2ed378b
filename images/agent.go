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
// Go itself decides whether there is anything to do: the output stays
// at one place for each source folder, and `go build` leaves an output alone
// that is up to date.
func Agent(ctx context.Context, st *store.Store) ([]byte, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return nil, err
	}
	place := sha256.Sum256([]byte(root))
	name := hex.EncodeToString(place[:8])
	unlock, err := st.Lock(ctx, "agents/"+name)
	if err != nil {
		return nil, err
	}
	defer unlock()
	dir := filepath.Join(st.Dir, "agents", name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, store.DiskFull(err, st.Dir)
	}
	out := filepath.Join(dir, "guestd")
	_, err = goCommand(ctx, root, "build", "-trimpath", "-ldflags=-s -w", "-o", out, "./cmd/guestd")
	if err != nil {
		return nil, fmt.Errorf("build the guest's agent: %w", err)
	}
	// Read under the lock: another process may build a newer one next.
	return os.ReadFile(out)
}
