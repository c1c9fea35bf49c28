package registry

import (
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"

	"optimist/internal/api"
)

// picked is what a list or a watch picks out of a kind.
type picked struct {
	namespace string
	labels    labels.Selector
	fields    fields.Selector
	index     equality
}

// equality is a field selector's demand that a field have one value: caches find and dispatch by it.
type equality struct {
	on    bool
	field int // index into resource.fields
	value string
}

// The two fields that every kind has; those of its Rules follow.
const (
	fieldName = iota
	fieldNamespace
	commonFields
)

func (k *resource) selection(namespace string, l labels.Selector, f fields.Selector) (picked, error) {
	s := picked{namespace: namespace}
	if !k.Namespaced && namespace != "" {
		return s, k.checkKey(api.Key{Namespace: namespace}, true)
	}
	if l != nil && !l.Empty() {
		s.labels = l
	}
	if f == nil || f.Empty() {
		return s, nil
	}
	s.fields = f
	for _, r := range f.Requirements() {
		n := slices.Index(k.fields, r.Field)
		if n < 0 {
			return s, apierrors.NewBadRequest(fmt.Sprintf("field label not supported: %s; %s can be selected by %s", r.Field, k, strings.Join(k.fields, ", ")))
		}
		equal := r.Operator == selection.Equals || r.Operator == selection.DoubleEquals
		if equal && n != fieldNamespace && (!s.index.on || n < s.index.field) { // a name picks less than spec.nodeName, and that less than a status
			s.index = equality{on: true, field: n, value: r.Value}
		}
	}
	return s, nil
}

func (s picked) matches(st *state) bool {
	if s.namespace != "" && s.namespace != st.key.Namespace {
		return false
	}
	if s.labels == nil && s.fields == nil {
		return true
	}
	have, values := st.selectable()
	return (s.labels == nil || s.labels.Matches(have)) && (s.fields == nil || s.fields.Matches(fieldValues{st.kind, values}))
}

// fieldValues shows a state's values to a selector.
type fieldValues struct {
	kind   *resource
	values []string
}

func (f fieldValues) Has(name string) bool { return slices.Contains(f.kind.fields, name) }

func (f fieldValues) Get(name string) string {
	if n := slices.Index(f.kind.fields, name); n >= 0 {
		return f.values[n]
	}
	return ""
}

// valuesOf reads the selectable fields of an object, in the order of resource.fields.
func (k *resource) valuesOf(key api.Key, o api.Object) []string {
	values := make([]string, len(k.fields))
	values[fieldName], values[fieldNamespace] = key.Name, key.Namespace
	for n, name := range k.fields[commonFields:] {
		values[commonFields+n] = k.rules.Fields[name](o)
	}
	return values
}
