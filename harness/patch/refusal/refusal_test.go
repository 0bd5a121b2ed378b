// SPDX-License-Identifier: Apache-2.0

package refusal

import (
	"errors"
	"fmt"
	"testing"

	"github.com/hashicorp/go-multierror"
	"github.com/stretchr/testify/require"
)

// TestSentence: place, function, reason, kernel, advice, each if it is known.
func TestSentence(t *testing.T) {
	require.Equal(t, "fs/a.c:3: f(): it is init code (6.1); patch g() instead",
		(&Refusal{Code: InitExit, File: "fs/a.c", Line: 3, Function: "f", Release: "6.1", Text: "it is init code", Advice: "patch g() instead"}).Error())
	require.Equal(t, "nothing changes", (&Refusal{Code: NoEffect, Text: "nothing changes"}).Error())
}

// TestAll finds every refusal however it is wrapped.
func TestAll(t *testing.T) {
	a, b, c := &Refusal{Text: "a"}, &Refusal{Text: "b"}, &Refusal{Text: "c"}
	other := errors.New("other")
	for _, x := range []struct {
		err  error
		want []*Refusal
	}{
		{nil, nil},
		{other, nil},
		{fmt.Errorf("x: %w", a), []*Refusal{a}},
		{fmt.Errorf("x: %w", multierror.Append(nil, a, other, fmt.Errorf("y: %w", b))), []*Refusal{a, b}},
		{errors.Join(multierror.Append(nil, a), fmt.Errorf("%w and %w", b, c)), []*Refusal{a, b, c}},
	} {
		require.Equal(t, x.want, All(x.err))
	}
}
