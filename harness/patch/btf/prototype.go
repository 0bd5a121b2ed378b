// SPDX-License-Identifier: Apache-2.0

package btf

import (
	"fmt"
	"strings"

	"github.com/cilium/ebpf/btf"
)

// declarations turns BTF back into C. Only prototypes are made here; the
// types themselves come from bpftool, which has no word for functions.
type declarations struct {
	// twice are the names that stand for more than one type. bpftool numbers
	// them, in an order of its own, so nothing may be said with them.
	twice map[string]bool
}

// prototype is the declaration of f.
func (d declarations) prototype(f *btf.Func) (string, error) {
	proto, ok := f.Type.(*btf.FuncProto)
	if !ok {
		return "", fmt.Errorf("%s has no prototype", f.Name)
	}
	text, err := d.function(proto, f.Name)
	if err != nil {
		return "", err
	}
	return "extern " + text + ";", nil
}

func (d declarations) function(f *btf.FuncProto, name string) (string, error) {
	var params []string
	for i, p := range f.Params {
		if _, void := p.Type.(*btf.Void); void && i == len(f.Params)-1 && p.Name == "" {
			params = append(params, "...") // how BTF says variadic
			continue
		}
		text, err := d.declare(p.Type, "")
		if err != nil {
			return "", err
		}
		params = append(params, text)
	}
	if len(params) == 0 {
		params = []string{"void"}
	}
	return d.declare(f.Return, name+"("+strings.Join(params, ", ")+")")
}

// declare declares what inner stands for, a name or a declarator, to be of
// type t: inside out, as C is read.
func (d declarations) declare(t btf.Type, inner string) (string, error) {
	switch t := t.(type) {
	case *btf.Void:
		return join("void", inner), nil
	case *btf.Int:
		return join(t.Name, inner), nil
	case *btf.Float:
		return join(t.Name, inner), nil
	case *btf.Typedef:
		return d.named("", t.Name, inner)
	case *btf.Struct:
		return d.named("struct ", t.Name, inner)
	case *btf.Union:
		return d.named("union ", t.Name, inner)
	case *btf.Enum:
		return d.named("enum ", t.Name, inner)
	case *btf.Fwd:
		return d.named(t.Kind.String()+" ", t.Name, inner)
	case *btf.Const:
		return d.declare(t.Type, join("const", inner))
	case *btf.Volatile:
		return d.declare(t.Type, join("volatile", inner))
	case *btf.Restrict:
		return d.declare(t.Type, join("restrict", inner))
	case *btf.TypeTag: // __user, __rcu: nothing that gcc knows
		return d.declare(t.Type, inner)
	case *btf.Pointer:
		inner = "*" + inner
		switch btf.UnderlyingType(skipTags(t.Target)).(type) {
		case *btf.FuncProto, *btf.Array:
			if _, named := skipTags(t.Target).(*btf.Typedef); !named {
				inner = "(" + inner + ")"
			}
		}
		return d.declare(t.Target, inner)
	case *btf.Array:
		return d.declare(t.Type, fmt.Sprintf("%s[%d]", inner, t.Nelems))
	case *btf.FuncProto:
		return d.function(t, inner)
	}
	return "", fmt.Errorf("a %T in a prototype", t)
}

func skipTags(t btf.Type) btf.Type {
	for {
		tag, ok := t.(*btf.TypeTag)
		if !ok {
			return t
		}
		t = tag.Type
	}
}

func (d declarations) named(tag, name, inner string) (string, error) {
	if name == "" {
		return "", fmt.Errorf("a type without a name in a prototype")
	}
	if d.twice[name] {
		return "", fmt.Errorf("%s stands for several types", name)
	}
	return join(tag+name, inner), nil
}

func join(word, rest string) string {
	if rest == "" {
		return word
	}
	return word + " " + rest
}
