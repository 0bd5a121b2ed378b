// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/observe"
	"github.com/switchyard-project/switchyard/harness/report"
)

// hostile is what a task, a function and a log line may be called.
const hostile = `</data></script><script>window.hostile=1</script><img src=x onerror="window.hostile=2">"'&{{.}}`

// logged is the report of the logs in testdata/logs/name, in which every old
// is replaced.
func logged(t *testing.T, name string, replace ...string) report.Report {
	t.Helper()
	dir := t.TempDir()
	for _, file := range []string{observe.RunFile, observe.TimelineFile} {
		text, err := os.ReadFile(filepath.Join("testdata/logs", name, file))
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(filepath.Join(dir, file), []byte(strings.NewReplacer(replace...).Replace(string(text))), 0o644))
	}
	r, err := report.FromFolder(dir)
	require.NoError(t, err)
	return r.Report
}

// quoted is hostile within a JSON string.
func quoted(t *testing.T) string {
	t.Helper()
	text, err := json.Marshal(hostile)
	require.NoError(t, err)
	return string(text[1 : len(text)-1])
}

// TestPage looks at pages of runs in a browser: figures, plots, what is hostile,
// a phone's width, darkness, keys.
func TestPage(t *testing.T) {
	browser := browse(t)
	q := quoted(t)
	for name, r := range map[string]report.Report{
		"complete": logged(t, "complete-virtual"), // with all that is measured
		"stalled":  logged(t, "stalled-virtual"),
		"older":    logged(t, "stalled"), // of a version that measured less
		"refused":  logged(t, "refused"),
		"whole":    everyPart(logged(t, "complete"), "some_function"),
		"hostile":  everyPart(logged(t, "stalled", `"dozer"`, `"`+q+`"`, "doze_nap", q, "livepatch: enabling", q), hostile),
	} {
		t.Run(name, func(t *testing.T) {
			p := open(t, browser, r)
			everyFigure(t, p, r)
			everyCurve(t, p, r)
			everyLoad(t, p, r)
			everyDistribution(t, p, r)
			require.Zero(t, ask[int](t, p, `document.querySelectorAll("script,img,iframe,object,embed,link").length`))
			require.Empty(t, ask[string](t, p, `String(window.hostile ?? "")`))
			p.snapshot(t, name+"-desktop", 1200)
			dark(t, p)
			p.snapshot(t, name+"-dark", 1200)
			p.snapshot(t, name+"-phone", 375)
			keys(t, p)
			phone(t, p) // with all unfolded
			p.alone(t)
			if name == "hostile" {
				require.GreaterOrEqual(t, ask[int](t, p, `document.body.textContent.split("window.hostile=1").length - 1`), 30, "it is not shown")
			}
		})
	}
}

// shown is a figure as the page has it.
type shown struct{ Path, Value, Text string }

// everyFigure: each is the one in report.json that it names.
func everyFigure(t *testing.T, p *opened, r report.Report) {
	t.Helper()
	var text bytes.Buffer
	require.NoError(t, r.WriteJSON(&text))
	d := json.NewDecoder(&text)
	d.UseNumber()
	var whole any
	require.NoError(t, d.Decode(&whole))
	figures := ask[[]shown](t, p, `Array.from(document.querySelectorAll("data"), d => ({Path: d.dataset.path, Value: d.getAttribute("value"), Text: d.textContent}))`)
	require.Greater(t, len(figures), 20)
	for _, f := range figures {
		want := at(t, whole, f.Path)
		switch want := want.(type) {
		case nil: // absent, as it is empty, or null
			require.Contains(t, []string{"", "0", "null"}, f.Value, f.Path)
			continue
		case string:
			require.Equal(t, want, f.Value, f.Path)
			if want != "" {
				require.Equal(t, want, f.Text, f.Path)
			}
			continue
		}
		a, err := strconv.ParseFloat(fmt.Sprint(want), 64)
		require.NoError(t, err, f.Path)
		b, err := strconv.ParseFloat(f.Value, 64)
		require.NoError(t, err, f.Path)
		require.InDelta(t, a, b, math.Abs(a)*1e-12, f.Path)
		if a == 0 && f.Text == "-" {
			continue // never
		}
		read, last := read(t, f)
		require.InDelta(t, a, read, last+math.Abs(a)*1e-12, "%s is shown as %s", f.Path, f.Text)
	}
}

// read is what a person reads, and what a unit of its last digit is worth; of
// a whole number nothing, for it is exact.
func read(t *testing.T, f shown) (value, last float64) {
	t.Helper()
	number, unit, _ := strings.Cut(f.Text, " ")
	n, err := strconv.ParseFloat(number, 64)
	require.NoError(t, err, f.Path)
	size, known := map[string]float64{"": 1, "%": 0.01, "1/s": 1, "ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9}[unit]
	require.True(t, known, "%s: %s", f.Path, f.Text)
	_, fraction, broken := strings.Cut(number, ".")
	if (unit == "" || unit == "1/s") && !broken || unit == "ns" {
		return n, 0
	}
	return n * size, size * math.Pow10(-len(fraction))
}

// at is the value at an RFC 6901 pointer; nil if there is none.
func at(t *testing.T, value any, pointer string) any {
	t.Helper()
	for _, step := range strings.Split(pointer, "/")[1:] {
		switch v := value.(type) {
		case map[string]any:
			value = v[strings.NewReplacer("~1", "/", "~0", "~").Replace(step)]
		case []any:
			i, err := strconv.Atoi(step)
			require.NoError(t, err, pointer)
			require.Less(t, i, len(v), pointer)
			value = v[i]
		default:
			return nil
		}
	}
	return value
}

// everyLoad: the curves of a load are those of its readings, in proportion.
func everyLoad(t *testing.T, p *opened, r report.Report) {
	t.Helper()
	for name, of := range map[string]func(a, b report.Reading) float64{
		"#B07800": func(a, b report.Reading) float64 { return float64(b.Ops-a.Ops) / float64(b.GuestNS-a.GuestNS) },
		"#009E73": func(_, b report.Reading) float64 { return math.Log(float64(b.P50NS)) },
		"#CC79A7": func(_, b report.Reading) float64 { return math.Log(float64(b.P99NS)) },
		"#D55E00": func(_, b report.Reading) float64 { return math.Log(float64(b.MaxNS)) },
	} {
		paths := ask[map[string]string](t, p, `Object.fromEntries(Array.from(document.querySelectorAll("figure.across"), f => [f.dataset.path, f.querySelector('path[style*="`+name+`" i]')?.getAttribute("d") ?? ""]))`)
		require.Len(t, paths, len(r.Runs[0].Load))
		for i, l := range r.Runs[0].Load {
			var ns, values, x, y []float64
			for j := 1; j < len(l.Readings); j++ {
				if v := of(l.Readings[j-1], l.Readings[j]); !math.IsInf(v, 0) { // no operation ended
					ns, values = append(ns, float64(l.Readings[j].GuestNS)), append(values, v)
				}
			}
			for _, m := range coordinate.FindAllStringSubmatch(paths[fmt.Sprintf("/runs/0/load/%d", i)], -1) {
				px, _ := strconv.ParseFloat(m[1], 64)
				py, _ := strconv.ParseFloat(m[2], 64)
				x, y = append(x, px), append(y, py)
			}
			require.Len(t, y, len(values), "%s of %s", name, l.Name)
			inProportion(t, ns, x, l.Name)
			inProportion(t, values, y, l.Name)
		}
	}
}

var coordinate = regexp.MustCompile(`[ML]([-\d.e]+),([-\d.e]+)`)

// everyCurve: a curve has the steps of its transition's samples, in proportion.
func everyCurve(t *testing.T, p *opened, r report.Report) {
	t.Helper()
	paths := ask[map[string]string](t, p, `Object.fromEntries(Array.from(document.querySelectorAll("figure.convergence"), f => [f.dataset.path, f.querySelector('path[style*="#0072B2" i]').getAttribute("d")]))`)
	phases := map[string]*report.Phase{"/runs/0/transition/apply": r.Runs[0].Transition.Apply, "/runs/0/transition/revert": r.Runs[0].Transition.Revert}
	for path, phase := range phases {
		if phase == nil {
			require.NotContains(t, paths, path)
			continue
		}
		var x, y []float64 // of the corners where the count changes
		for _, m := range coordinate.FindAllStringSubmatch(paths[path], -1) {
			px, _ := strconv.ParseFloat(m[1], 64)
			py, _ := strconv.ParseFloat(m[2], 64)
			if n := len(y); n == 0 || y[n-1] != py {
				x, y = append(x, px), append(y, py)
			}
		}
		var ns, left []float64
		for _, s := range phase.Samples {
			if n := len(left); n == 0 || left[n-1] != float64(s.TasksLeft) {
				ns, left = append(ns, float64(s.GuestNS)), append(left, float64(s.TasksLeft))
			}
		}
		if phase.Done && left[len(left)-1] != 0 {
			ns, left = append(ns, float64(phase.GuestNS)), append(left, 0)
		}
		require.Len(t, y, len(left), path)
		inProportion(t, ns, x, path)
		inProportion(t, left, y, path)
	}
}

// inProportion: b is a, scaled and moved, to a thousandth of its range.
func inProportion(t *testing.T, a, b []float64, what string) {
	t.Helper()
	lo, hi := 0, 0
	for i := range a {
		if a[i] < a[lo] {
			lo = i
		}
		if a[i] > a[hi] {
			hi = i
		}
	}
	for i := range a {
		want := b[lo]
		if len(a) > 0 && a[hi] > a[lo] {
			want += (a[i] - a[lo]) / (a[hi] - a[lo]) * (b[hi] - b[lo])
		}
		require.InDelta(t, want, b[i], math.Abs(b[hi]-b[lo])/1000+0.02, "point %d of %s", i, what)
	}
}

// phone: at its width nothing stands out, and plots can be read.
func phone(t *testing.T, p *opened) {
	t.Helper()
	require.NoError(t, chromedp.Do(p.ctx, chromedp.EmulateViewport(375, 800, chromedp.EmulateMobile)))
	require.LessOrEqual(t, ask[int](t, p, `document.documentElement.scrollWidth`), 375)
	smallest := ask[float64](t, p, `Math.min(...Array.from(document.querySelectorAll("svg text"), t => parseFloat(getComputedStyle(t).fontSize) * Math.hypot(t.getScreenCTM().a, t.getScreenCTM().b)), 99)`)
	require.GreaterOrEqual(t, smallest, 9.0, "letters of a plot are too small")
}

// dark: the page is dark where the reader wants it, and can be read there.
func dark(t *testing.T, p *opened) {
	t.Helper()
	contrast := `(() => {
		const light = c => { const v = c.match(/\d+/g).slice(0, 3).map(x => { x /= 255; return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4 }); return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2] };
		const ground = light(getComputedStyle(document.body).backgroundColor);
		const all = Array.from(document.querySelectorAll("body, dt, a:not(.skip), .verdict, .reason, figcaption, th, .kind"), e => light(getComputedStyle(e).color));
		return [ground, Math.min(...all.map(l => (Math.max(l, ground) + 0.05) / (Math.min(l, ground) + 0.05)))];
	})()`
	for scheme, isDark := range map[string]bool{"light": false, "dark": true} {
		p.prefer(t, scheme)
		got := ask[[]float64](t, p, contrast)
		require.Equal(t, isDark, got[0] < 0.1, scheme)
		require.GreaterOrEqual(t, got[1], 4.5, "contrast, %s", scheme) // WCAG 2, AA
	}
	p.prefer(t, "dark")
}

// prefer has the reader want a light or a dark page.
func (p *opened) prefer(t *testing.T, scheme string) {
	t.Helper()
	require.NoError(t, chromedp.Do(p.ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
		})
		return err
	})))
}

// keys: the tab key reaches all that opens or leads somewhere, and enter opens
// it.
func keys(t *testing.T, p *opened) {
	t.Helper()
	const visible = `Array.from(document.querySelectorAll("a[href], summary, [tabindex]")).filter(e => e.checkVisibility())`
	n := ask[int](t, p, visible+`.length`)
	require.Greater(t, n, 2)
	ask[int](t, p, `window.seen = new Set(), 0`)
	for range 2*n + 20 { // what scrolls can be reached as well, and is no more than that
		require.NoError(t, chromedp.Do(p.ctx, chromedp.KeyEvent(kb.Tab)))
		ask[int](t, p, `window.seen.add(document.activeElement), 0`)
	}
	require.Empty(t, ask[[]string](t, p, visible+`.filter(e => !window.seen.has(e)).map(e => e.outerHTML.slice(0, 80))`), "not reached by keys")
	require.NoError(t, chromedp.Do(p.ctx, chromedp.Focus("details.about > summary"), chromedp.KeyEvent(kb.Enter)))
	require.True(t, ask[bool](t, p, `document.querySelector("details.about").open`))
	// What is folded counts as well from here on.
	ask[int](t, p, `document.querySelectorAll("details").forEach(d => d.open = true), 0`)
}
