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
			walk(reflect.ValueOf(o), rows[i], nil, func(v reflect.Value, elements []int) {
				if row.quiet == "" || fmt.Sprint(v.Interface()) != row.quiet {
					warnings = append(warnings, pathOf(rows[i], elements)+": "+orElse(row.note, "is stored, but nothing in this version acts on it"))
				}
			})
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

// walk follows the steps down from v and shows the places where something is set: a pointer to whatever, or anything but zero.
func walk(v reflect.Value, steps []step, elements []int, show func(v reflect.Value, elements []int)) {
	pointed := v.Kind() == reflect.Pointer
	for v.Kind() == reflect.Pointer {
		v = v.Elem()
	}
	if !v.IsValid() {
		return
	}
	if len(steps) == 0 {
		if (pointed || !v.IsZero()) && !isEmpty(v) {
			show(v, elements)
		}
		return
	}
	child := v.FieldByIndex(steps[0].index)
	if !steps[0].each {
		walk(child, steps[1:], elements, show)
		return
	}
	for i := range child.Len() {
		walk(child.Index(i), steps[1:], append(elements, i), show)
	}
}

func isEmpty(v reflect.Value) bool {
	return (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0
}

// pathOf writes a path with the elements that were visited: spec.containers[1].lifecycle.
func pathOf(steps []step, elements []int) string {
	var b strings.Builder
	for i, s := range steps {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(s.name)
		if s.each {
			fmt.Fprintf(&b, "[%d]", elements[0])
			elements = elements[1:]
		}
	}
	return b.String()
}
