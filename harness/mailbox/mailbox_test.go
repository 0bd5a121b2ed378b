// SPDX-License-Identifier: Apache-2.0

package mailbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/switchyard-project/switchyard/harness/load"
	"github.com/switchyard-project/switchyard/harness/observe"
)

// drawnPlan is any plan.
func drawnPlan(t *rapid.T) Plan {
	module := rapid.Custom(func(t *rapid.T) Module {
		content := rapid.SliceOfN(rapid.Byte(), 0, 300).Draw(t, "content")
		return Module{Name: rapid.String().Draw(t, "name"), Size: len(content), Content: content}
	})
	p := Plan{
		Seed:          rapid.Int64().Draw(t, "seed"),
		With:          rapid.SliceOfN(module, 0, 3).Draw(t, "with"),
		BeforeApplyNS: rapid.Int64().Draw(t, "delay"),
	}
	for range rapid.IntRange(1, 3).Draw(t, "patches") {
		p.Patches = append(p.Patches, Patch{Module: module.Draw(t, "patch"), Probes: []string{"/proc/cmdline"}})
	}
	p.Loads = []Load{{Spec: load.Spec{Name: "fork", RestNS: 7}, DelayNS: rapid.Int64().Draw(t, "load")}}
	return p
}

// TestPlanRoundTrip: what is encoded is decoded, in a blob that has always the
// same size; a blob with one byte changed is no plan, or the same.
func TestPlanRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawnPlan(t)
		blob, err := Encode(p)
		require.NoError(t, err)
		require.Len(t, blob, Size)
		n := Length(blob)
		require.Positive(t, n)
		got, err := Decode(blob[:HeaderSize], blob[HeaderSize:HeaderSize+n])
		require.NoError(t, err)
		want, _ := json.Marshal(p)
		have, _ := json.Marshal(got)
		require.JSONEq(t, string(want), string(have))
		for i, m := range p.modules() {
			require.True(t, bytes.Equal(m.Content, got.modules()[i].Content), "module %d", i)
		}

		at := rapid.IntRange(0, HeaderSize+n-1).Draw(t, "flipped")
		blob[at] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if n := Length(blob); n > 0 {
			_, err = Decode(blob[:HeaderSize], blob[HeaderSize:HeaderSize+n])
			require.Error(t, err, "byte %d", at)
		}
	})
}

func TestNoPlan(t *testing.T) {
	require.Len(t, Empty(), Size)
	require.Zero(t, Length(Empty()))
	require.Zero(t, Length(nil))
	_, err := Decode(Empty()[:HeaderSize], nil)
	require.Error(t, err)
	p := Plan{With: []Module{{Name: "huge", Content: make([]byte, Size)}}}
	_, err = Encode(p)
	require.ErrorIs(t, err, ErrTooLarge)
	// The sizes are Encode's to say: what a caller left there does not count.
	p.With[0].Content = []byte("x")
	p.With[0].Size = 99
	blob, err := Encode(p)
	require.NoError(t, err)
	n := Length(blob)
	got, err := Decode(blob[:HeaderSize], blob[HeaderSize:HeaderSize+n])
	require.NoError(t, err)
	require.Equal(t, "x", string(got.With[0].Content))
}

// line is an event as the agent writes it.
func line(t testing.TB, seq uint64, e observe.Event) string {
	t.Helper()
	e.Clock, e.Seq = observe.Guest, seq
	text, err := json.Marshal(e)
	require.NoError(t, err)
	return string(text) + "\n"
}

func result(t testing.TB, seq uint64, r Result) string {
	t.Helper()
	raw, err := json.Marshal(r)
	require.NoError(t, err)
	return line(t, seq, observe.Event{T: int64(seq), Kind: KindResult, Raw: raw})
}

func readAll(text string) (all []Entry, err error) {
	err = Read(strings.NewReader(text), func(e Entry) error { all = append(all, e); return nil })
	return all, err
}

func TestRead(t *testing.T) {
	text := result(t, 1, Result{Began: &Began{Seed: 7}}) +
		line(t, 2, observe.Event{T: 5, Kind: observe.KindRound, Round: &observe.Round{N: 1}}) +
		result(t, 4, Result{Over: &Over{}})
	all, err := readAll(text)
	require.NoError(t, err)
	require.Len(t, all, 3)
	require.EqualValues(t, 7, all[0].Result.Began.Seed)
	require.Nil(t, all[1].Result)
	require.NotNil(t, all[2].Result.Over)

	// A guest that died leaves a last line without end, wherever it is cut.
	for cut := range len(text) {
		got, err := readAll(text[:cut])
		require.NoError(t, err, "cut at %d", cut)
		require.Len(t, got, strings.Count(text[:cut], "\n"))
	}

	// What take says ends it.
	stop := errors.New("enough")
	require.ErrorIs(t, Read(strings.NewReader(text), func(Entry) error { return stop }), stop)
}

// TestHostileResults: what no agent says is refused, with its line.
func TestHostileResults(t *testing.T) {
	good := result(t, 1, Result{Began: &Began{}})
	death := line(t, 2, observe.Event{Kind: observe.KindDeath, Death: &observe.Death{}})
	host := strings.Replace(line(t, 2, observe.Event{Kind: observe.KindRound, Round: &observe.Round{}}), observe.Guest, observe.Host, 1)
	for name, bad := range map[string]string{
		"not JSON":             "nonsense\n",
		"an empty line":        "\n",
		"a death":              death,
		"the host's clock":     host,
		"an unknown kind":      line(t, 2, observe.Event{Kind: "qmp"}),
		"a kind with no body":  line(t, 2, observe.Event{Kind: observe.KindRound}),
		"a result with none":   line(t, 2, observe.Event{Kind: KindResult}),
		"a result that is not": line(t, 2, observe.Event{Kind: KindResult, Raw: []byte(`{"over":7}`)}),
		"an offset along":      line(t, 2, observe.Event{Kind: observe.KindRound, Round: &observe.Round{}, Offset: &observe.Offset{}}),
		"a text along":         line(t, 2, observe.Event{Kind: observe.KindRound, Round: &observe.Round{}, Raw: []byte(`1`)}),
		"a time before boot":   line(t, 2, observe.Event{T: -1, Kind: observe.KindRound, Round: &observe.Round{}}),
		"a number again":       result(t, 1, Result{}),
		"no number":            result(t, 0, Result{}),
		"a long line":          strings.Repeat("x", MaxLine+1) + "\n",
	} {
		all, err := readAll(good + bad + good)
		var hostile *HostileError
		require.ErrorAs(t, err, &hostile, name)
		require.Equal(t, 2, hostile.Line, name)
		require.Len(t, all, 1, name)
	}
}

// endless is lines without end, all of them right.
type endless struct {
	t    testing.TB
	n    uint64
	rest []byte
	read int
}

func (e *endless) Read(b []byte) (int, error) {
	if len(e.rest) == 0 {
		e.n++
		e.rest = []byte(result(e.t, e.n, Result{Probe: &Probe{Text: strings.Repeat("x", MaxLine/2)}}))
	}
	n := copy(b, e.rest)
	e.rest = e.rest[n:]
	e.read += n
	return n, nil
}

func TestResultsAreBounded(t *testing.T) {
	in := &endless{t: t}
	taken := 0
	err := Read(in, func(Entry) error { taken++; return nil })
	require.ErrorContains(t, err, fmt.Sprintf("more than %d bytes", MaxResults))
	require.LessOrEqual(t, in.read, MaxResults+2*MaxLine)
	require.Less(t, taken, MaxResults/(MaxLine/2))
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(result(f, 1, Result{Followed: &Followed{To: observe.Apply}})))
	f.Add([]byte(line(f, 3, observe.Event{Kind: observe.KindSample, Sample: &observe.Sample{}})))
	f.Add([]byte("{}\n{"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var last uint64
		_ = Read(bytes.NewReader(in), func(e Entry) error {
			require.Greater(t, e.Seq, last)
			require.Equal(t, observe.Guest, e.Clock)
			require.Equal(t, e.Kind == KindResult, e.Result != nil)
			last = e.Seq
			return nil
		})
	})
}

func FuzzDecode(f *testing.F) {
	blob, err := Encode(Plan{Patches: []Patch{{Module: Module{Name: "p", Content: []byte("ELF")}}}})
	require.NoError(f, err)
	n := Length(blob)
	f.Add(blob[:HeaderSize], blob[HeaderSize:HeaderSize+n])
	f.Fuzz(func(t *testing.T, header, body []byte) {
		p, err := Decode(header, body)
		if err != nil {
			return
		}
		for _, m := range p.modules() {
			require.Len(t, m.Content, m.Size)
		}
	})
}
