package registry

import (
	"reflect"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"

	"optimist/internal/api"
)

// A kind may be served in other forms than the stored one. A request is decoded, checked against its target and patched in the caller's form; all
// else happens to the stored form, and what the caller is shown is converted last.

// form is the version that a caller speaks; "" is the stored one.
func (k *resource) form(version string) api.Version {
	i := slices.IndexFunc(k.Versions, func(v api.Version) bool { return v.Name == version })
	return k.Versions[max(i, 0)]
}

// show makes of a stored object what the caller of a version sees. What is no such object (a Scale) stays as it is.
func (k *resource) show(version string, o api.Object) (api.Object, error) {
	if v := k.form(version); v.FromStored != nil && reflect.TypeOf(o) == reflect.TypeOf(k.kept.Versions[0].New()) {
		return v.FromStored(o)
	}
	return o, nil
}

// keep undoes show.
func (k *resource) keep(version string, o api.Object) (api.Object, error) {
	if v := k.form(version); v.ToStored != nil {
		return v.ToStored(o)
	}
	return o, nil
}

// convert makes of an object in any form of the kind one in another, by what that is called.
func (k *resource) convert(o api.Object, to runtime.GroupVersioner) (api.Object, error) {
	if have := gvk(o); have.GroupVersion() != to && have.Group == k.Group && k.served(have.Version) {
		stored, err := k.keep(have.Version, o)
		if err != nil {
			return nil, err
		}
		o = stored
	}
	for _, v := range k.Versions {
		if k.GVK(v.Name).GroupVersion() == to && gvk(o).GroupVersion() != to {
			return k.show(v.Name, o)
		}
	}
	if gvk(o).GroupVersion() != to {
		return nil, runtime.NewNotRegisteredErrForTarget(k.Name, reflect.TypeOf(o), to)
	}
	return o, nil
}

// fresh is an empty object in the stored form.
func (k *resource) fresh() api.Object { return api.Kinded(k.kept, "", k.kept.Versions[0].New()) }

func whole(o api.Object) (api.Object, error) { return o, nil }

// inVersion is a part whose body is the object itself, in the form of a version.
func (k *resource) inVersion(version string, into func(body, o api.Object) error) Sub {
	return Sub{
		New: func() api.Object { v := k.form(version); return api.Kinded(k.Kind, v.Name, v.New()) },
		Get: func(o api.Object) (api.Object, error) { return k.show(version, o) },
		Into: func(body, o api.Object) error {
			stored, err := k.keep(version, body)
			if err != nil {
				return err
			}
			return into(stored, o)
		},
	}
}
