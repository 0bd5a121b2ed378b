// SPDX-License-Identifier: Apache-2.0

package compare

// throughCallers gives up hooking functions that have no site for it where
// all their callers are at hand: a static function, called by its name alone.
// The kernel makes `inline` notrace, so that what the compiler left standing
// alone of it (the body of a system call that has two wrappers, for one) can
// only be replaced together with what calls it. The callers are hooked, and
// take the new function along.
func (s *selector) throughCallers() {
	for again := true; again; {
		again = false
		for b := range s.hooked {
			a := s.from[b]
			if a == nil || a.site() || !a.local() || boot(b.section.Name) || !onlyCalled(s.pre, a) || !onlyCalled(s.post, b) {
				continue
			}
			callers := callersOf(s.post, b)
			if len(callers) == 0 {
				continue
			}
			delete(s.hooked, b)
			s.carried[b], again = true, true
			for _, c := range callers {
				if s.from[c] != nil && !s.carried[c] {
					s.hooked[c] = true
				}
			}
		}
	}
}

// callersOf are the functions that call a; a part without an entry of its own
// stands for the one it belongs to.
func callersOf(u *unit, a *atom) (callers []*atom) {
	whole := map[string]*atom{}
	for _, c := range u.atoms {
		if c.code && len(c.symbols) > 0 {
			whole[c.name()] = c
		}
	}
	for _, c := range u.atoms {
		if !c.code || c == a || len(c.symbols) == 0 {
			continue
		}
		for _, r := range c.refs {
			if r.target != a {
				continue
			}
			name, _ := cold(c.name())
			if w := whole[name]; w != nil && w != a {
				callers = append(callers, w)
			}
			break
		}
	}
	return callers
}

// onlyCalled says that nothing keeps the function's address.
func onlyCalled(u *unit, a *atom) bool {
	for _, c := range u.atoms {
		if c == a {
			continue
		}
		for _, r := range c.refs {
			// A part of the function itself goes back into its middle.
			if r.target == a && !r.call && r.place == int64(a.start) {
				return false
			}
		}
	}
	return true
}
