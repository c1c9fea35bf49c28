package registry

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validate/content"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
)

// resource is one kind at work: its rules, and what follows from its Go type, found out once.
type resource struct {
	*api.Kind
	kept         *api.Kind // what the objects are in the store: Kind, or Kind.Stored
	rules        Rules
	prefix       string              // of its keys in the store
	spec, status reflect.StructField // zero if the type has none
	fields       []string            // that can be selected: fieldName, fieldNamespace, those of the rules
	cache        *cache
	cipher       Cipher // may be nil
	sealed       bool   // values of the kind are stored encrypted
}

func newResource(k *api.Kind, rules Rules, c Cipher) *resource {
	if rules.Name == nil {
		rules.Name = apivalidation.NameIsDNSSubdomain
	}
	if len(rules.Columns) == 0 {
		rules.Columns = []Column{NameColumn, AgeColumn}
	}
	res := &resource{Kind: k, kept: k, rules: rules, cipher: c, sealed: c != nil && c.Encrypts(k), prefix: StoreKey(k, api.Key{})}
	res.fields = []string{"metadata.name", "metadata.namespace"}
	for _, name := range slices.Sorted(maps.Keys(rules.Fields)) {
		if !slices.Contains(res.fields, name) {
			res.fields = append(res.fields, name)
		}
	}
	t := reflect.TypeOf(k.Versions[0].New()).Elem()
	res.spec, _ = t.FieldByName("Spec")
	if k.HasSub("status") {
		res.status, _ = t.FieldByName("Status")
	}
	res.cache = newCache(res)
	return res
}

// StoreKey is where an object lives in the store: /core/pods/default/web, /core/nodes/n1. With an empty name it is the prefix of a
// namespace, and with an empty key that of the kind.
func StoreKey(k *api.Kind, key api.Key) string {
	if k.Stored != nil {
		k = k.Stored
	}
	group := k.Group
	if group == "" {
		group = "core"
	}
	prefix := "/" + group + "/" + k.Plural + "/"
	if key.Namespace != "" {
		prefix += key.Namespace + "/"
	}
	return prefix + key.Name
}

// keyOf undoes StoreKey.
func (k *resource) keyOf(stored string) api.Key {
	rest := stored[len(k.prefix):]
	if !k.Namespaced {
		return api.Key{Name: rest}
	}
	namespace, name, _ := strings.Cut(rest, "/")
	return api.Key{Namespace: namespace, Name: name}
}

func (k *resource) served(version string) bool {
	return version == "" || slices.ContainsFunc(k.Versions, func(v api.Version) bool { return v.Name == version })
}

// checkKey refuses keys that cannot be those of an object of the kind. The name may be missing in a create.
func (k *resource) checkKey(key api.Key, nameless bool) error {
	switch {
	case k.Namespaced && key.Namespace == "":
		return apierrors.NewBadRequest(fmt.Sprintf("an empty namespace may not be set: %s live in namespaces", k))
	case !k.Namespaced && key.Namespace != "":
		return apierrors.NewBadRequest(fmt.Sprintf("namespace %q given, but %s live outside namespaces", key.Namespace, k))
	case key.Name == "" && !nameless:
		return apierrors.NewBadRequest("name must be provided")
	}
	for _, segment := range []string{key.Namespace, key.Name} {
		if faults := content.IsPathSegmentName(segment); segment != "" && len(faults) > 0 {
			return apierrors.NewBadRequest(fmt.Sprintf("%q cannot be a name: it %s", segment, strings.Join(faults, ", ")))
		}
	}
	return nil
}

// of returns a field of an object, addressable.
func of(o api.Object, f reflect.StructField) reflect.Value {
	return reflect.ValueOf(o).Elem().FieldByIndex(f.Index)
}

// sameSpec compares two specs by their bytes, so that nil and empty count as equal.
func (k *resource) sameSpec(a, b api.Object) bool {
	if k.spec.Name == "" {
		return true
	}
	type marshaler interface{ Marshal() ([]byte, error) }
	left, errA := of(a, k.spec).Addr().Interface().(marshaler).Marshal()
	right, errB := of(b, k.spec).Addr().Interface().(marshaler).Marshal()
	return errA == nil && errB == nil && bytes.Equal(left, right)
}

// counted reports whether the kind counts changes of its spec in metadata.generation.
func (k *resource) counted() bool { return k.spec.Name != "" && k.status.Name != "" }

func (k *resource) defaults(o api.Object) {
	if k.rules.Default != nil {
		k.rules.Default(o)
	}
}

// clone is a copy that shares nothing with the original.
func clone(o api.Object) api.Object { return o.DeepCopyObject().(api.Object) }

func deleting(o metav1.Object) bool { return o.GetDeletionTimestamp() != nil }
