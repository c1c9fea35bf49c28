package kinds

import (
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/internal/api"
)

// Defaults, faults and warnings are tables of rules. A rule is about one Go type and holds for each value of that type, wherever in an object
// it lies: what is said of a Probe is said of all three probes, of all containers, of pods and of templates of pods.

// rule is what to do with every value of a type. It returns what it finds wrong, or worth a warning.
type rule struct {
	of   reflect.Type
	find func(at *field.Path, v reflect.Value) field.ErrorList
}

// each makes a rule about a T as a whole.
func each[T any](find func(at *field.Path, x *T) field.ErrorList) rule {
	return rule{reflect.TypeFor[T](), func(at *field.Path, v reflect.Value) field.ErrorList { return find(at, v.Addr().Interface().(*T)) }}
}

// fields makes a rule about fields of a T, by their JSON names. What is a nil pointer is not there, and not checked.
func fields[T any](names string, cs ...check) rule {
	return about[T](names, func(v reflect.Value) reflect.Value {
		if v.Kind() == reflect.Pointer {
			return v.Elem()
		}
		return v
	}, cs...)
}

// about makes a rule about what is found of fields of a T, and is a value.
func about[T any](names string, find func(reflect.Value) reflect.Value, cs ...check) rule {
	t := reflect.TypeFor[T]()
	all := strings.Fields(names)
	indices := make([][]int, len(all))
	for i, name := range all {
		indices[i] = fieldIndex(t, name)
	}
	return rule{t, func(at *field.Path, v reflect.Value) (found field.ErrorList) {
		for i, name := range all {
			if f := find(v.FieldByIndex(indices[i])); f.IsValid() {
				for _, c := range cs {
					found = append(found, c(at.Child(name), f)...)
				}
			}
		}
		return found
	}}
}

// fieldIndex finds a struct's field by its JSON name, also in embedded structs. The tables are made when the program starts, so that a wrong
// name in one never goes unseen.
func fieldIndex(t reflect.Type, name string) []int {
	for _, f := range reflect.VisibleFields(t) {
		if jsonName(f) == name {
			return f.Index
		}
	}
	panic(t.String() + " has no field " + name)
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// table holds rules by type, and which fields of a type lead to others that have rules: nothing else is looked at.
type table struct {
	rules map[reflect.Type][]rule
	ways  map[reflect.Type][]way
}

type way struct {
	field int
	name  string // "" for an embedded struct, whose fields count as its owner's
}

func newTable(parts ...[]rule) *table {
	t := &table{rules: map[reflect.Type][]rule{}, ways: map[reflect.Type][]way{}}
	for _, r := range slices.Concat(parts...) {
		t.rules[r.of] = append(t.rules[r.of], r)
	}
	for _, k := range api.Builtin.Kept() {
		if o, err := k.New(""); err == nil {
			t.leads(reflect.TypeOf(o))
		}
	}
	return t
}

// leads reports whether there are rules for a type or for one inside it.
func (t *table) leads(to reflect.Type) bool {
	for to.Kind() == reflect.Pointer || to.Kind() == reflect.Slice {
		to = to.Elem()
	}
	if to.Kind() != reflect.Struct {
		return false
	}
	if _, known := t.ways[to]; !known {
		t.ways[to] = nil
		for i := range to.NumField() {
			if f := to.Field(i); f.IsExported() && t.leads(f.Type) {
				t.ways[to] = append(t.ways[to], way{i, jsonName(f)})
			}
		}
	}
	return len(t.rules[to]) > 0 || len(t.ways[to]) > 0
}

// walk applies the rules to v and to all that lies in it.
func (t *table) walk(at *field.Path, v reflect.Value) (found field.ErrorList) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return t.walk(at, v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			found = append(found, t.walk(at.Index(i), v.Index(i))...)
		}
	case reflect.Struct:
		for _, r := range t.rules[v.Type()] {
			found = append(found, r.find(at, v)...)
		}
		for _, w := range t.ways[v.Type()] {
			found = append(found, t.walk(w.from(at), v.Field(w.field))...)
		}
	}
	return found
}

func (w way) from(at *field.Path) *field.Path {
	if w.name == "" {
		return at
	}
	return at.Child(w.name)
}

// leaf is the value at a path of JSON names in an object of type T, without the pointers on the way; invalid where one of them is nil.
func leaf[T api.Object](path string) func(api.Object) reflect.Value {
	t := reflect.TypeFor[T]().Elem()
	var steps [][]int
	for name := range strings.SplitSeq(path, ".") {
		index := fieldIndex(t, name)
		steps = append(steps, index)
		if t = t.FieldByIndex(index).Type; t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
	}
	return func(o api.Object) reflect.Value {
		v := reflect.ValueOf(o).Elem()
		for _, index := range steps {
			if v = v.FieldByIndex(index); v.Kind() == reflect.Pointer {
				if v = v.Elem(); !v.IsValid() {
					break
				}
			}
		}
		return v
	}
}
