// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func each(t *testing.T, f func(t *testing.T, version string)) {
	for _, v := range versions {
		t.Run(v, func(t *testing.T) { f(t, v) })
	}
}

func TestExpectedShutdown(t *testing.T) {
	each(t, func(t *testing.T, version string) {
		m := guest(t, version, "poweroff")
		require.NoError(t, m.Shutdown(context.Background()))
	})
}

func TestPanic(t *testing.T) {
	each(t, func(t *testing.T, version string) {
		m := guest(t, version, "panic")
		err := m.Wait()
		var d *GuestPanic
		require.True(t, errors.As(err, &d), "%+v", err)
		fmt.Println(err)
		fmt.Printf("%+v\n", err)
		fmt.Println(m.Usage())
		_ = time.Now
	})
}
