// SPDX-License-Identifier: Apache-2.0

package report

import (
	"reflect"
	"strings"
)

// Fields are the JSON fields of each type that a report is made of, by the
// type's name in docs/report.schema.json.
func Fields() map[string][]string {
	all := map[string][]string{}
	collect(reflect.TypeFor[Report](), all)
	return all
}

func collect(t reflect.Type, all map[string][]string) {
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		collect(t.Elem(), all)
		return
	case reflect.Struct:
	default:
		return
	}
	if _, seen := all[t.Name()]; seen {
		return
	}
	all[t.Name()] = []string{}
	for i := range t.NumField() {
		name, _, _ := strings.Cut(t.Field(i).Tag.Get("json"), ",")
		all[t.Name()] = append(all[t.Name()], name)
		collect(t.Field(i).Type, all)
	}
}
