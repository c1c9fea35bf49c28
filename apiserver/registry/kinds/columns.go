package kinds

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

const (
	none    = "<none>"
	unknown = "<unknown>"
)

// column shows something of a T.
func column[T api.Object](name, kind, description string, cell func(T) any) registry.Column {
	return timed(name, kind, description, func(o T, _ time.Time) any { return cell(o) })
}

// timed shows something of a T that changes as time passes.
func timed[T api.Object](name, kind, description string, cell func(T, time.Time) any) registry.Column {
	return registry.Column{Name: name, Type: kind, Description: description,
		Cell: func(o api.Object, now time.Time) any { return cell(o.(T), now) }}
}

// wide marks columns that only -o wide shows.
func wide(columns ...registry.Column) []registry.Column {
	for i := range columns {
		columns[i].Wide = true
	}
	return columns
}

// shown is a column of what lies at a path of a T, or else of something instead.
func shown[T api.Object](name, path, instead, description string) registry.Column {
	value := leaf[T](path)
	return column(name, "string", description, func(o T) any { return orElse(wordAt(value(o)), instead) })
}

// counted is a column of the number at a path of a T.
func counted[T api.Object](name, path, description string) registry.Column {
	value := leaf[T](path)
	return column(name, "integer", description, func(o T) any {
		if v := value(o); v.IsValid() {
			return v.Int()
		}
		return int64(0)
	})
}

// flag is a column of what is true or not at a path of a T, or of what holds if nothing is said.
func flag[T api.Object](name, path string, instead bool, description string) registry.Column {
	value := leaf[T](path)
	return column(name, "boolean", description, func(o T) any {
		if v := value(o); v.IsValid() {
			return v.Bool()
		}
		return instead
	})
}

// texts makes a word of each.
func texts[E any](list []E, word func(E) string) (all []string) {
	for _, e := range list {
		all = append(all, word(e))
	}
	return all
}

// selectable makes Rules.Fields of paths of a T.
func selectable[T api.Object](paths string) map[string]func(api.Object) string {
	all := map[string]func(api.Object) string{}
	for _, path := range strings.Fields(paths) {
		value := leaf[T](path)
		all[path] = func(o api.Object) string { return wordAt(value(o)) }
	}
	return all
}

func wordAt(v reflect.Value) string {
	switch v.Kind() {
	case reflect.Invalid:
		return ""
	case reflect.String:
		return v.String()
	case reflect.Struct:
		return fmt.Sprint(v.Addr().Interface())
	}
	return fmt.Sprint(v.Interface())
}

func orElse(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
