// SPDX-License-Identifier: Apache-2.0

package report_test

import (
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/switchyard-project/switchyard/harness/report"
	"github.com/switchyard-project/switchyard/kernels/debian"
	"github.com/switchyard-project/switchyard/kernels/store"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// browserVariable says which browser the pages are looked at with: a path, or
// "tool" for Debian's, which is fetched once (about 125 MB); by default one
// that is on the PATH.
const browserVariable = "SWITCHYARD_BROWSER"

var screenshots = flag.String("screenshots", "", "folder for pictures of the pages")

// browserOptions are how the browser is started; a test skips where there is
// none without a download that nobody asked for.
func browserOptions(t *testing.T) []chromedp.ExecAllocatorOption {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.DisableGPU)
	switch choice := os.Getenv(browserVariable); choice {
	case "tool":
		st, err := store.Open("")
		require.NoError(t, err)
		archive, err := debian.NewArchive(st, nil)
		require.NoError(t, err)
		b, err := toolroot.OpenBrowser(t.Context(), st, archive)
		require.NoError(t, err)
		return append(options, chromedp.ExecPath(b.Path), chromedp.Env(b.Env...), chromedp.ModifyCmdFunc(func(c *exec.Cmd) { c.Dir = b.Dir }))
	case "":
		for _, name := range []string{"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"} {
			if path, err := exec.LookPath(name); err == nil {
				return append(options, chromedp.ExecPath(path))
			}
		}
		t.Skipf("no Chromium is on the PATH; %s=tool fetches one, about 125 MB", browserVariable)
		return nil
	default:
		return append(options, chromedp.ExecPath(choice))
	}
}

// browse starts a browser for the length of the test.
func browse(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	t.Cleanup(cancel)
	ctx, stop := chromedp.NewExecAllocator(ctx, browserOptions(t)...)
	t.Cleanup(stop)
	ctx, quit := chromedp.NewContext(ctx)
	t.Cleanup(quit)
	require.NoError(t, chromedp.Do(ctx, chromedp.Navigate("about:blank")), "start the browser")
	return ctx
}

// opened is a page in a tab of its own and what it did there.
type opened struct {
	ctx context.Context
	url string

	mu       sync.Mutex
	requests []string
	errors   []string
}

// open writes r's page and opens it from its file.
func open(t *testing.T, browser context.Context, r report.Report) *opened {
	t.Helper()
	dir := t.TempDir()
	require.NoError(t, r.SaveAll(dir))
	ctx, closeTab := chromedp.NewContext(browser)
	t.Cleanup(closeTab)
	p := &opened{ctx: ctx}
	require.NoError(t, chromedp.Listen(ctx, func(event any) {
		p.mu.Lock()
		defer p.mu.Unlock()
		switch e := event.(type) {
		case *network.EventRequestWillBeSent:
			p.requests = append(p.requests, e.Request.URL)
		case *runtime.EventExceptionThrown:
			p.errors = append(p.errors, e.ExceptionDetails.Text)
		case *log.EventEntryAdded: // what the page's policy forbids, too
			p.errors = append(p.errors, e.Entry.Text)
		}
	}))
	url := "file://" + filepath.Join(dir, "report.html")
	require.NoError(t, chromedp.Do(ctx, chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, one := cdp.Call(ctx, t, network.Enable, network.EnableParams{})
		_, two := cdp.Call(ctx, t, log.Enable, cdp.Empty{})
		return errors.Join(one, two)
	}), chromedp.Navigate(url)))
	p.url = url
	p.alone(t)
	return p
}

// alone: the page was asked for, nothing else, and nothing went wrong on it.
func (p *opened) alone(t *testing.T) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	require.Equal(t, []string{p.url}, p.requests, "the page asks for something else")
	require.Empty(t, p.errors)
}

// ask evaluates an expression on the page.
func ask[T any](t *testing.T, p *opened, expression string) (out T) {
	t.Helper()
	out, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](expression))
	require.NoError(t, err, expression)
	return out
}

// snapshot keeps a picture of the page, if pictures are asked for.
func (p *opened) snapshot(t *testing.T, name string, width int64) {
	t.Helper()
	if *screenshots == "" {
		return
	}
	require.NoError(t, chromedp.Do(p.ctx, chromedp.EmulateViewport(width, 800)))
	png, err := chromedp.Run(p.ctx, chromedp.FullScreenshot(100))
	require.NoError(t, err)
	require.NoError(t, errors.Join(os.MkdirAll(*screenshots, 0o755), os.WriteFile(filepath.Join(*screenshots, name+".png"), png, 0o644)))
}
