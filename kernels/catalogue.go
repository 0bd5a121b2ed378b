// SPDX-License-Identifier: Apache-2.0

package kernels

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-multierror"
)

// Candidate is a kernel that is to be had: a line of `switchyard kernels list`.
type Candidate struct {
	// Release, Version, Source and Flavour are as in Kit.
	Release, Version, Source, Flavour string
	// Cached says that the kit is in the cache already.
	Cached bool
	// Dir is the kit's folder, for ReadKitFile; "" unless it is at hand.
	Dir string
	// Bytes is the size of the download, 0 if not known.
	Bytes int64
	// Checksum is of what the kit is made from, in hex; "" if not known.
	Checksum string
	// HasHeaders says that modules can be built for it against headers.
	HasHeaders bool
	// Native says that the kernel is the one its Source was released with;
	// of two builds of one upstream version the native one is taken.
	Native bool
	// FromSource says that the kernel was, or would have to be, built here. A
	// version means such a kernel only where nobody ships one.
	FromSource bool
	// Label is the name that was given to a kernel built here, for selectors
	// ("6.6+LABEL"); only those that name it mean it.
	Label string
	// Made is when it was built here: of two builds of one name the later one
	// is meant. Zero for others.
	Made time.Time
	// Provider is the Name of the Provider to Get it from.
	Provider string
	// Path is what a kernel at hand was named by, "" for others.
	Path string
}

// Selector is what chooses this kernel and no other.
func (c Candidate) Selector() string { return cmp.Or(c.Path, c.Release) }

// FileName is the release, and for a kernel at hand what tells it from others of
// its release: the end of its version. It is fit for the name of a file.
func (c Candidate) FileName() string {
	if c.Path == "" {
		return c.Release
	}
	return c.Release + c.Version[max(strings.LastIndexByte(c.Version, '+'), 0):]
}

// Provider is a place that kits come from.
type Provider interface {
	// Name is the provider's part of Kit.Source before the colon: "debian".
	Name() string
	// List lists what is to be had. It may give both candidates and an error:
	// what could be found out, and why there is no more.
	List(ctx context.Context) ([]Candidate, error)
	// Get makes the candidate's kit, or finds it in the cache.
	Get(ctx context.Context, c Candidate) (*Kit, error)
}

// Keeper is a Provider that can say what is in the cache without asking
// anybody else.
type Keeper interface {
	AtHand(ctx context.Context) ([]Candidate, error)
}

// Stepwise is a Provider that asks several places, of which some cost much
// more than others: an index of 10 MB to fetch for a kernel or two.
type Stepwise interface {
	// ListUntil is List, but ends once enough says so of what it found.
	ListUntil(ctx context.Context, enough func([]Candidate) bool) ([]Candidate, error)
}

// LastResort is a Provider that can ask a place which is far, slow or often out
// of reach: it is asked only when no other kernel matches.
type LastResort interface {
	// Lookup gives kernels whose version begins with the selector's; an error
	// says why the place could not be asked.
	Lookup(ctx context.Context, s Selector) ([]Candidate, error)
}

// PathProvider is a Provider that makes kits from files: the selectors of
// kind ByPath go to it.
type PathProvider interface {
	// FromPath looks at path; ok is false if it is nothing of this provider's.
	FromPath(ctx context.Context, path string) (c Candidate, ok bool, err error)
}

// Catalogue is all the places that kits come from.
type Catalogue struct {
	Providers []Provider
	// Fresh makes a version mean the newest kernel to be had. Otherwise it
	// means the newest at hand that fits, and only if there is none, the
	// newest to be had: so a test does not change its kernel, or need the
	// network, because a mirror moved on.
	Fresh bool
}

// List lists what is at hand and to be had, newest first. It may give both
// candidates and an error.
func (c *Catalogue) List(ctx context.Context) ([]Candidate, error) {
	return c.listUntil(ctx, func([]Candidate) bool { return false })
}

// listUntil is List, but for places that need not be asked when enough says
// so of what nearer ones have.
func (c *Catalogue) listUntil(ctx context.Context, enough func([]Candidate) bool) ([]Candidate, error) {
	var all []Candidate
	var errs *multierror.Error
	for _, p := range c.Providers {
		list := p.List
		if s, ok := p.(Stepwise); ok {
			list = func(ctx context.Context) ([]Candidate, error) { return s.ListUntil(ctx, enough) }
		}
		found, err := list(ctx)
		all = append(all, found...)
		if err != nil {
			errs = multierror.Append(errs, err)
		}
	}
	return tidy(all), plain(errs)
}

func (c *Catalogue) atHand(ctx context.Context) []Candidate {
	var all []Candidate
	for _, p := range c.Providers {
		if k, ok := p.(Keeper); ok {
			// What cannot be read is not at hand; List tells the reason.
			found, _ := k.AtHand(ctx)
			all = append(all, found...)
		}
	}
	return tidy(all)
}

// Select gives one candidate for each selector in text ("all" and "lts" may
// give several), in the order of text, each once. Errors: *SelectorError,
// *NoMatchError, or what kept a provider from answering, a *Lacking mostly.
func (c *Catalogue) Select(ctx context.Context, text string) ([]Candidate, error) {
	selectors, err := ParseSelector(text)
	if err != nil {
		return nil, err
	}
	have := c.atHand(ctx)
	var listErr error
	if c.Fresh {
		have, listErr = c.List(ctx)
	}
	var chosen []Candidate
	for _, s := range selectors {
		found, err := c.choose(ctx, s, have)
		if err == nil && s.Kind != ByPath && s.Kind != AllAtHand && !c.Fresh && (len(found) == 0 || s.couldBeShipped(found)) {
			have, listErr = c.listUntil(ctx, s.shipped)
			var more []Candidate
			more, err = c.choose(ctx, s, have)
			if len(found) == 0 || (len(more) > 0 && !more[0].FromSource) {
				found = more
			}
		}
		if err != nil {
			return nil, err
		}
		var far error
		if len(found) == 0 && s.Kind == ByVersion {
			found, far = c.lookup(ctx, s)
		}
		if len(found) == 0 {
			if listErr != nil {
				return nil, fmt.Errorf("find a kernel for %q: %w", s.Text, listErr)
			}
			all, _ := c.List(ctx)
			no := noMatch(s, all)
			if far != nil {
				no.Note = far.Error()
			}
			return nil, no
		}
		chosen = append(chosen, found...)
	}
	return unique(chosen), nil
}

// choose gives what s takes from have, which is sorted.
func (c *Catalogue) choose(ctx context.Context, s Selector, have []Candidate) ([]Candidate, error) {
	if s.Kind == ByPath {
		return c.fromPath(ctx, s)
	}
	var found []Candidate
	for _, cand := range have {
		if s.Matches(cand) {
			found = append(found, cand)
		}
	}
	switch {
	case s.Kind == ByVersion && len(found) > 1:
		slices.SortStableFunc(found, shippedFirst)
		found = found[:1]
	case s.Kind == AllAtHand:
		// Of several builds of one name only the last is meant by it.
		seen := map[string]bool{}
		found = slices.DeleteFunc(found, func(c Candidate) bool {
			defer func() { seen[c.Release] = true }()
			return c.FromSource && seen[c.Release]
		})
	case s.Kind == NewestLTS:
		slices.SortStableFunc(found, shippedFirst)
		seen := map[string]bool{}
		found = slices.DeleteFunc(found, func(c Candidate) bool {
			series := Series(c.Version)
			defer func() { seen[series] = true }()
			return seen[series]
		})
		// Oldest series first, as people list them.
		slices.SortStableFunc(found, func(a, b Candidate) int { return CompareVersions(a.Version, b.Version) })
	}
	return found, nil
}

// lookup asks the last resorts, and gives the newest of what they have.
func (c *Catalogue) lookup(ctx context.Context, s Selector) ([]Candidate, error) {
	var all []Candidate
	var errs *multierror.Error
	for _, p := range c.Providers {
		if far, ok := p.(LastResort); ok {
			found, err := far.Lookup(ctx, s)
			if err != nil {
				errs = multierror.Append(errs, err)
			}
			all = append(all, found...)
		}
	}
	found, err := c.choose(ctx, s, tidy(all))
	if err != nil {
		return nil, err
	}
	return found, plain(errs)
}

func (c *Catalogue) fromPath(ctx context.Context, s Selector) ([]Candidate, error) {
	for _, p := range c.Providers {
		if taker, ok := p.(PathProvider); ok {
			cand, ok, err := taker.FromPath(ctx, s.Pattern)
			if err != nil {
				return nil, err
			}
			if ok {
				return []Candidate{cand}, nil
			}
		}
	}
	return nil, nil
}

// Get makes the kit of a candidate that Select or List gave.
func (c *Catalogue) Get(ctx context.Context, cand Candidate) (*Kit, error) {
	for _, p := range c.Providers {
		if p.Name() == cand.Provider {
			return p.Get(ctx, cand)
		}
	}
	return nil, fmt.Errorf("get kernel %s: no provider is called %q", cand.Release, cand.Provider)
}

// compareCandidates orders newest first.
func compareCandidates(a, b Candidate) int {
	native := func(c Candidate) int {
		if c.Native {
			return 1
		}
		return 0
	}
	headers := func(c Candidate) int {
		if c.HasHeaders {
			return 1
		}
		return 0
	}
	return -cmp.Or(
		CompareVersions(UpstreamVersion(a.Version), UpstreamVersion(b.Version)),
		cmp.Compare(native(a), native(b)),
		a.Made.Compare(b.Made),
		CompareVersions(a.Version, b.Version),
		cmp.Compare(headers(a), headers(b)),
		// The shorter flavour name is the more general one; any order will do
		// as long as it is always the same.
		cmp.Compare(b.Flavour, a.Flavour),
		cmp.Compare(b.Release, a.Release),
	)
}

// shippedFirst puts kernels that somebody ships before those built here.
func shippedFirst(a, b Candidate) int {
	rank := func(c Candidate) int {
		if c.FromSource {
			return 1
		}
		return 0
	}
	return cmp.Compare(rank(a), rank(b))
}

// tidy sorts, newest first, and merges candidates of the same kernel.
func tidy(all []Candidate) []Candidate {
	slices.SortStableFunc(all, compareCandidates)
	return unique(all)
}

// unique keeps the first of each kernel; it is cached if any of them is.
func unique(all []Candidate) []Candidate {
	type key struct{ provider, release, version, path string }
	at := map[key]int{}
	var kept []Candidate
	for _, c := range all {
		k := key{c.Provider, c.Release, c.Version, c.Path}
		i, ok := at[k]
		if !ok {
			at[k] = len(kept)
			kept = append(kept, c)
			continue
		}
		kept[i].Cached = kept[i].Cached || c.Cached
		kept[i].Checksum = cmp.Or(kept[i].Checksum, c.Checksum)
		kept[i].Dir = cmp.Or(kept[i].Dir, c.Dir)
		kept[i].HasHeaders = kept[i].HasHeaders || c.HasHeaders
	}
	return kept
}

// plain gives a lone error as it is: multierror's list form is for several.
func plain(errs *multierror.Error) error {
	if errs == nil || len(errs.Errors) == 0 {
		return nil
	}
	if len(errs.Errors) == 1 {
		return errs.Errors[0]
	}
	return errs
}

// IsLacking says whether err is, or wraps, a *Lacking.
func IsLacking(err error) bool {
	var l *Lacking
	return errors.As(err, &l)
}
