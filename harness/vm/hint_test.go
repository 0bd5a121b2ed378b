// SPDX-License-Identifier: Apache-2.0

package vm

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHints(t *testing.T) {
	for _, h := range hints {
		require.NotEmpty(t, h.source, h.sign)
		require.Contains(t, h.advice, "-mem")
		onConsole := &Evidence{Console: []Line{{Text: "x"}, {Text: "[ 1.0] " + h.sign + " y"}, {Text: "z"}}}
		require.Contains(t, hint(onConsole, 77, false), "77 MiB", h.sign)
		inWords := &Evidence{Stderr: "qemu: " + h.sign + "\n"}
		require.Contains(t, hint(inWords, 77, false), "77 MiB", h.sign)
	}
	said := &Evidence{Console: []Line{{Text: "Linux version"}}}
	require.Empty(t, hint(said, 32, false), "that it is small alone says nothing")
	require.Contains(t, hint(said, 32, true), "32 MiB")
	require.Empty(t, hint(&Evidence{}, 512, true))
	require.Contains(t, hint(&Evidence{}, 32, false), "32 MiB")
	require.Empty(t, hint(&Evidence{Stderr: "bad option"}, 32, false))
}
