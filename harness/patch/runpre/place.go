// SPDX-License-Identifier: Apache-2.0

package runpre

// Place is where a symbol of a compiled object is in the kernel, and how a
// live patch names it.
type Place struct {
	// Name is what kallsyms has: it differs from the compiled object's where
	// the compiler numbers static variables. "" if the kernel has no name for
	// the place.
	Name string
	// Address is where the image puts it; in the guest there is the slide of
	// KASLR, and for a module where its section was loaded.
	Address uint64
	// Sympos tells it from others of its name in its object: 0 if there are
	// none, else 1 for the first.
	Sympos uint64
	// Object is who has it: VMLinux or the name of a module.
	Object string
	// Exported says that modules may refer to it as they are; Namespace must
	// then be imported, "" for most.
	Exported  bool
	Namespace string
}

// Lookup gives every place of a name in an object.
func (im *Image) Lookup(object, name string) ([]Place, error) {
	s, err := im.space(object)
	if err != nil {
		return nil, err
	}
	var all []Place
	for _, i := range s.byName[name] {
		all = append(all, s.place(i))
	}
	return all, nil
}
