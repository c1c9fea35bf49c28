package kinds

import (
	"cmp"
	"reflect"
	"slices"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/internal/api"
)

// Faults are collected in lists; these are the sentences that many fields share.

// invalid makes a fault of each message that a check of apimachinery returned.
func invalid(p *field.Path, value any, messages []string) (faults field.ErrorList) {
	for _, m := range messages {
		faults = append(faults, field.Invalid(p, value, m))
	}
	return faults
}

// oneOf demands one of some words.
func oneOf[T ~string](p *field.Path, value T, allowed ...T) field.ErrorList {
	if slices.Contains(allowed, value) {
		return nil
	}
	if value == "" {
		return field.ErrorList{field.Required(p, "")}
	}
	return field.ErrorList{field.NotSupported(p, value, allowed)}
}

// optionalOneOf is oneOf for what may be left out.
func optionalOneOf[T ~string](p *field.Path, value *T, allowed ...T) field.ErrorList {
	if value == nil || slices.Contains(allowed, *value) {
		return nil
	}
	return field.ErrorList{field.NotSupported(p, *value, allowed)}
}

func required(p *field.Path, value string) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(p, "")}
	}
	return nil
}

func nonNegative[T ~int32 | ~int64](p *field.Path, value T) field.ErrorList {
	return apivalidation.ValidateNonnegativeField(int64(value), p)
}

// subdomain is the form of most names; a missing one is Required.
func subdomain(p *field.Path, name string) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(p, "")}
	}
	return invalid(p, name, validation.IsDNS1123Subdomain(name))
}

func label(p *field.Path, name string) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(p, "")}
	}
	return invalid(p, name, validation.IsDNS1123Label(name))
}

func port(p *field.Path, number int) field.ErrorList {
	return invalid(p, number, validation.IsValidPortNum(number))
}

// immutable demands that a field stays what it was.
func immutable(p *field.Path, now, before any) field.ErrorList {
	return apivalidation.ValidateImmutableField(now, before, p)
}

// choices says which fields of a struct of pointers are set, by their JSON names: what must be exactly one of several is such a struct.
func choices(union reflect.Value) (set []string) {
	for i := range union.NumField() {
		if f := union.Field(i); f.Kind() == reflect.Pointer && !f.IsNil() {
			set = append(set, jsonName(union.Type().Field(i)))
		}
	}
	return set
}

// validate adapts a typed check to Rules. Faults come in the order of their paths: some were found by going through a map.
func validate[T api.Object](check func(sub string, o, old T) field.ErrorList) func(string, api.Object, api.Object) field.ErrorList {
	return func(sub string, o, old api.Object) field.ErrorList {
		before, _ := old.(T)
		faults := check(sub, o.(T), before)
		slices.SortStableFunc(faults, func(a, b *field.Error) int {
			return cmp.Or(cmp.Compare(a.Field, b.Field), cmp.Compare(a.Error(), b.Error()))
		})
		return faults
	}
}

// selects adapts a typed field to Rules.Fields.
func selects[T api.Object](value func(T) string) func(api.Object) string {
	return func(o api.Object) string { return value(o.(T)) }
}
