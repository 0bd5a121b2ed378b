// SPDX-License-Identifier: Apache-2.0

package source

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/switchyard-project/switchyard/kernels"
	"github.com/switchyard-project/switchyard/kernels/store"
	"github.com/switchyard-project/switchyard/kernels/toolroot"
)

// ProviderName is the first part of the Source of each kit from here.
const ProviderName = "source"

// Kinds of cache entries: kits stand with those of other providers.
const (
	kitKind    = "kernels"
	sourceKind = "sources"
)

// Provider makes kits of kernels that are built here. Its methods may be called
// from several goroutines; fields are set before the first call.
type Provider struct {
	Store *store.Store
	// Root opens the tool root; it is called only when something is built.
	Root func(context.Context) (*toolroot.Root, error)
	// Mirror is the folder or URL of release tarballs, "" for none.
	Mirror string
	// Releases is kernel.org's release site, without the folder of a series.
	Releases string
	// Keys are those that may sign a site's checksum file.
	Keys []*packet.PublicKey
	// Jobs is how many compilers run at once.
	Jobs int
	// Patience is how long a site may take to answer; 0 means a few seconds.
	Patience time.Duration
	// Progress hears of downloads, in bytes; Objects of builds, in objects. Both
	// may be nil.
	Progress, Objects kernels.Progress
	// Note, if set, is told what a person should know and need not act upon.
	Note func(text string)
	// Waiting, if set, hears, as a noun phrase, what is being waited for.
	Waiting func(what string)

	once sync.Once
	http *http.Client
}

var (
	_ kernels.Provider   = (*Provider)(nil)
	_ kernels.Keeper     = (*Provider)(nil)
	_ kernels.LastResort = (*Provider)(nil)
)

// Name is "source".
func (p *Provider) Name() string { return ProviderName }

// AtHand lists the kernels that were built.
func (p *Provider) AtHand(context.Context) ([]kernels.Candidate, error) {
	var all []kernels.Candidate
	kits, err := p.kits()
	for _, k := range kits {
		all = append(all, k.candidate())
	}
	return all, err
}

// List lists the kernels that were built and the tarballs of the mirror.
// kernel.org is not asked: see Lookup.
func (p *Provider) List(ctx context.Context) ([]kernels.Candidate, error) {
	all, err := p.AtHand(ctx)
	if err != nil {
		return nil, err
	}
	found, err := p.mirrored(ctx)
	return append(all, unbuilt(all, found)...), err
}

// Lookup asks kernel.org for the releases that fit a version.
func (p *Provider) Lookup(ctx context.Context, s kernels.Selector) ([]kernels.Candidate, error) {
	if strings.Contains(s.Pattern, "+") || (s.Flavour != "" && s.Flavour != kernels.SourceFlavour) {
		return nil, nil
	}
	far, err := p.kernelOrg(ctx, s.Pattern)
	if err != nil {
		return nil, fmt.Errorf("kernel.org was asked for a release to build, in vain: %w; or put a tarball into a folder and name that by %s", err, MirrorVariable)
	}
	return unbuilt(nil, far), nil
}

// unbuilt are the candidates of tarballs that no kernel in have was built from
// in the ordinary way.
func unbuilt(have []kernels.Candidate, found []listing) []kernels.Candidate {
	built := map[string]bool{}
	for _, c := range have {
		if c.Label == "" {
			built[c.Release] = true
		}
	}
	var all []kernels.Candidate
	for _, l := range found {
		if !built[l.version] {
			all = append(all, l.candidate())
		}
	}
	return all
}

// Get gives the kit of c, building it if need be.
func (p *Provider) Get(ctx context.Context, c kernels.Candidate) (*kernels.Kit, error) {
	if c.Cached {
		kits, err := p.kits()
		if err != nil {
			return nil, err
		}
		for _, k := range kits {
			if k.Version == c.Version && k.Release == c.Release {
				return p.whole(k)
			}
		}
		return nil, fmt.Errorf("get kernel %s: it is not in the cache any more; `switchyard kernels build` makes it again", c.Release)
	}
	return p.Build(ctx, Spec{Version: c.Release})
}

// whole makes sure that nothing of a kit is missing.
func (p *Provider) whole(k builtKit) (*kernels.Kit, error) {
	if err := p.Store.Check(kitKind, filepath.Base(k.Dir)); err != nil {
		return nil, fmt.Errorf("get kernel %s: %w; `%s` makes it again", k.Release, err, k.Record.Command)
	}
	if _, err := os.Stat(k.SourceDir); err != nil {
		return nil, fmt.Errorf("get kernel %s: its source tree is not in the cache any more; `%s` brings it back", k.Release, k.Record.Command)
	}
	p.Store.Used(kitKind, filepath.Base(k.Dir))
	p.Store.Used(sourceKind, filepath.Base(k.SourceDir))
	return k.Kit, nil
}
