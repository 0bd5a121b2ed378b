// SPDX-License-Identifier: Apache-2.0

package compare

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestNames(t *testing.T) {
	for _, c := range []struct{ name, parent, stem string }{
		{"f", "f", "f"},
		{"f.cold", "f", "f.cold"},
		{"f.cold.3", "f", "f.cold"},
		{"f.constprop.0", "f", "f.constprop"},
		{"f.isra.0.cold", "f", "f.isra.0.cold"},
		{"f.part.0.constprop.1", "f", "f.part.0.constprop"},
		{"count.17", "count.17", "count"},
		{"count.17.2", "count.17.2", "count"},
		{"x86", "x86", "x86"},
		{"__func__.12", "__func__.12", "__func__"},
		{"__UNIQUE_ID_ddebug123.4", "__UNIQUE_ID_ddebug123.4", "__UNIQUE_ID_ddebug"},
		{"__UNIQUE_ID_author_71", "__UNIQUE_ID_author_71", "__UNIQUE_ID_author"},
		{"__UNIQUE_ID___addressable_f9", "__UNIQUE_ID___addressable_f9", "__UNIQUE_ID___addressable_f"},
		{"__initcall__kmod_namei__321_5123_init_fs5", "__initcall__kmod_namei__321_5123_init_fs5", "__initcall__kmod_namei__init_fs"},
		{"__BTF_ID__struct__sock__44", "__BTF_ID__struct__sock__44", "__BTF_ID__struct__sock"},
	} {
		require.Equal(t, c.parent, parent(c.name))
		s, numbered := stem(c.name)
		require.Equal(t, c.stem, s)
		require.Equal(t, c.stem != c.name, numbered, c.name)
	}
	whole, part := cold("f.isra.0.cold.2")
	require.True(t, part)
	require.Equal(t, "f.isra.0", whole)
	for _, not := range []string{"f", "f.colder", ".cold", "f.cold.x"} {
		_, part := cold(not)
		require.False(t, part, not)
	}
}

func TestAttribute(t *testing.T) {
	for _, c := range []struct{ section, symbol, attribute string }{
		{".text", "f", ".text"},
		{".text.f", "f", ".text"},
		{".text.unlikely.f", "f", ".text"},
		{".text.unlikely.f", "f.cold", ".text"},
		{".text.hot.f", "f", ".text"},
		{".sched.text", "f", ".sched.text"},
		{".noinstr.text", "f", ".noinstr.text"},
		{".init.text", "f", ".init.text"},
		{".data.n", "n", ".data"},
		{".bss.n.3", "n.3", ".data"},
		{".rodata.n", "n", ".rodata"},
		{".data.rel.ro.local.n", "n", ".rodata"},
		{".data..percpu", "n", ".data..percpu"},
		{".data..read_mostly", "n", ".data..read_mostly"},
		{".data..ro_after_init", "n", ".data..ro_after_init"},
		{"__tracepoints", "n", "__tracepoints"},
	} {
		require.Equal(t, c.attribute, attribute(c.section, c.symbol), c.section)
	}
}
