// SPDX-License-Identifier: Apache-2.0

package patch

import (
	"bytes"
	"debug/elf"
	"fmt"
	"sync"

	"github.com/cilium/ebpf/btf"

	image "github.com/switchyard-project/switchyard/harness/patch/btf"
	"github.com/switchyard-project/switchyard/kernels"
)

// layout is the shape of livepatch's structs in one kernel, in bytes. They
// differ between versions and configurations (klp_func has private members
// behind its public ones), so they are read from the kernel's own BTF.
type layout struct {
	patch struct{ mod, objs, replace uint64 }
	obj   struct{ size, name, funcs uint64 }
	fn    struct{ size, oldName, newFunc, sympos uint64 }
}

var layouts struct {
	sync.Mutex
	byImage map[string]*layout
}

// klpLayout reads the layout from kit's image.
func klpLayout(kit *kernels.Kit) (*layout, error) {
	layouts.Lock()
	defer layouts.Unlock()
	if l := layouts.byImage[kit.VMLinux]; l != nil {
		return l, nil
	}
	spec, err := loadBTF(kit.VMLinux)
	if err != nil {
		return nil, fmt.Errorf("read the type information (BTF) of %s: %w; without it a module's tables cannot be read back", kit.Release, err)
	}
	l := &layout{}
	for _, want := range []struct {
		typ    string
		size   *uint64
		fields map[string]*uint64
	}{
		{"klp_patch", nil, map[string]*uint64{"mod": &l.patch.mod, "objs": &l.patch.objs, "replace": &l.patch.replace}},
		{"klp_object", &l.obj.size, map[string]*uint64{"name": &l.obj.name, "funcs": &l.obj.funcs}},
		{"klp_func", &l.fn.size, map[string]*uint64{"old_name": &l.fn.oldName, "new_func": &l.fn.newFunc, "old_sympos": &l.fn.sympos}},
	} {
		var typ *btf.Struct
		if err := spec.TypeByName(want.typ, &typ); err != nil {
			return nil, fmt.Errorf("struct %s of %s: %w; is it built with CONFIG_LIVEPATCH?", want.typ, kit.Release, err)
		}
		if want.size != nil {
			*want.size = uint64(typ.Size)
		}
		for _, member := range flatten(typ.Members, 0) {
			if to := want.fields[member.name]; to != nil {
				*to = member.offset
			}
		}
	}
	if layouts.byImage == nil {
		layouts.byImage = map[string]*layout{}
	}
	layouts.byImage[kit.VMLinux] = l
	return l, nil
}

// loadBTF reads the .BTF section of an image; the image's symbols, which the
// library would read with a whole ELF file, are stripped.
func loadBTF(path string) (*btf.Spec, error) {
	f, err := elf.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	section := f.Section(".BTF")
	if section == nil {
		return nil, image.ErrNoTypes
	}
	raw, err := section.Data()
	if err != nil {
		return nil, err
	}
	return btf.LoadSpecFromReader(bytes.NewReader(raw))
}

type member struct {
	name   string
	offset uint64
}

// flatten names the members of anonymous structs and unions as C does
// (klp_func.new_func stands in one).
func flatten(members []btf.Member, base uint64) (all []member) {
	for _, m := range members {
		at := base + uint64(m.Offset.Bytes())
		if m.Name != "" {
			all = append(all, member{m.Name, at})
			continue
		}
		switch t := m.Type.(type) {
		case *btf.Struct:
			all = append(all, flatten(t.Members, at)...)
		case *btf.Union:
			all = append(all, flatten(t.Members, at)...)
		}
	}
	return all
}
