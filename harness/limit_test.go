// SPDX-License-Identifier: Apache-2.0

package harness

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/switchyard-project/switchyard/kernels"
)

// When go test's time is up, a kernel that was being built is told with the
// command that goes on, and one that was being fetched with that which fetches.
func TestFetchError(t *testing.T) {
	over, cancel := context.WithCancel(t.Context())
	cancel()
	limit := errors.New("go test's time limit (-timeout) is near")
	building := fmt.Errorf("get: %w", &kernels.Unfinished{What: "kernel 6.6.3", Done: "7 of 9 objects", Command: "switchyard kernels build 6.6.3", Err: limit})
	assert.Equal(t, "get: kernel 6.6.3 is not built yet (7 of 9 objects): go test's time limit (-timeout) is near; `switchyard kernels build 6.6.3` goes on from there",
		fetchError(over, "6.6.3", building).Error())
	assert.ErrorContains(t, fetchError(over, "6.1", limit), "`switchyard kernels get 6.1`")
	other := errors.New("no such thing")
	assert.Equal(t, other, fetchError(t.Context(), "6.1", other))
}
