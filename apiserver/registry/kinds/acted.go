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

// stored makes Rules.Warnings of a table.
func stored(table []unacted) func(api.Object) []string {
	return func(o api.Object) (warnings []string) {
		for _, row := range table {
			for _, set := range walk(reflect.ValueOf(o), "", strings.Split(row.path, ".")) {
				if row.quiet == "" || fmt.Sprint(set.value) != row.quiet {
					warnings = append(warnings, set.path+": "+orElse(row.note, "is stored, but nothing in this version acts on it"))
				}
			}
		}
		return warnings
	}
}

// found is a field that is set, by its full path.
type found struct {
	path  string
	value any
}

// walk follows the steps down from v and returns the places where something is set: a pointer to whatever, or anything but zero.
func walk(v reflect.Value, path string, steps []string) []found {
	pointed := v.Kind() == reflect.Pointer
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if !v.IsValid() {
		return nil
	}
	if len(steps) == 0 {
		if v.IsZero() && !pointed || (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0 {
			return nil
		}
		return []found{{path, v.Interface()}}
	}
	name, all := strings.CutSuffix(steps[0], "[*]")
	child := fieldNamed(v, name)
	if !all || !child.IsValid() {
		return walk(child, join(path, name), steps[1:])
	}
	var places []found
	for i := range child.Len() {
		places = append(places, walk(child.Index(i), fmt.Sprintf("%s[%d]", join(path, name), i), steps[1:])...)
	}
	return places
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// fieldNamed finds a struct's field by its JSON name, also in embedded structs; invalid if there is none.
func fieldNamed(v reflect.Value, name string) reflect.Value {
	if v.Kind() != reflect.Struct {
		return reflect.Value{}
	}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if jsonName(f) == name {
			return v.Field(i)
		}
		if f.Anonymous {
			if inner := fieldNamed(v.Field(i), name); inner.IsValid() {
				return inner
			}
		}
	}
	return reflect.Value{}
}

func jsonName(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}
