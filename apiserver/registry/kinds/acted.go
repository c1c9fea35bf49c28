package kinds

import (
	"fmt"
	"reflect"
	"strings"

	"optimist/internal/api"
)

// unacted is a field that is stored though nothing acts on it yet. Whoever sets it is told so.
type unacted struct {
	path  string // JSON names joined by dots; [*] stands for every element
	quiet string // a value that asks for nothing, usually the default: no warning for it
	note  string // "" = the usual sentence
}

// stored makes Rules.Warnings of a table. The paths are resolved once, since every write walks them all.
func stored[T api.Object](table []unacted) func(api.Object) []string {
	rows := make([][]step, len(table))
	for i, row := range table {
		rows[i] = resolve(reflect.TypeFor[T](), strings.Split(row.path, "."))
	}
	return func(o api.Object) (warnings []string) {
		for i, row := range table {
			for _, set := range walk(reflect.ValueOf(o), "", rows[i]) {
				if row.quiet == "" || fmt.Sprint(set.value) != row.quiet {
					warnings = append(warnings, set.path+": "+orElse(row.note, "is stored, but nothing in this version acts on it"))
				}
			}
		}
		return warnings
	}
}

// step goes down to a field, or to every element of one.
type step struct {
	name  string
	index []int // of the field, through embedded structs; nil if the type has none of the name
	each  bool
}

// resolve finds a path's fields in a type.
func resolve(t reflect.Type, names []string) (steps []step) {
	for _, name := range names {
		for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
			t = t.Elem()
		}
		s := step{}
		s.name, s.each = strings.CutSuffix(name, "[*]")
		if s.index = fieldIndex(t, s.name); s.index == nil {
			return append(steps, s)
		}
		t = t.FieldByIndex(s.index).Type
		steps = append(steps, s)
	}
	return steps
}

// fieldIndex finds a struct's field by its JSON name, also in embedded structs.
func fieldIndex(t reflect.Type, name string) []int {
	if t.Kind() != reflect.Struct {
		return nil
	}
	for i := range t.NumField() {
		f := t.Field(i)
		if jsonName(f) == name {
			return []int{i}
		}
		if !f.Anonymous {
			continue
		}
		if inner := fieldIndex(f.Type, name); inner != nil {
			return append([]int{i}, inner...)
		}
	}
	return nil
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

// found is a field that is set, by its full path.
type found struct {
	path  string
	value any
}

// walk follows the steps down from v and returns the places where something is set: a pointer to whatever, or anything but zero.
func walk(v reflect.Value, path string, steps []step) []found {
	pointed := v.Kind() == reflect.Pointer
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	switch {
	case !v.IsValid():
		return nil
	case len(steps) == 0 && (v.IsZero() && !pointed || isEmpty(v)):
		return nil
	case len(steps) == 0:
		return []found{{strings.TrimPrefix(path, "."), v.Interface()}}
	}
	s := steps[0]
	child := v.FieldByIndex(s.index)
	if !s.each {
		return walk(child, path+"."+s.name, steps[1:])
	}
	var places []found
	for i := range child.Len() {
		places = append(places, walk(child.Index(i), fmt.Sprintf("%s.%s[%d]", path, s.name, i), steps[1:])...)
	}
	return places
}

func isEmpty(v reflect.Value) bool {
	return (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0
}
