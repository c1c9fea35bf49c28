package registry

import (
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/internal/api"
)

// part is what a write of a subresource may change, and through which body: a Scale changes spec.replicas, "status" the status. The main
// resource is the part that has everything but the status.
type part struct {
	fresh func() api.Object              // an empty body
	read  func(o api.Object) api.Object  // the body as read from the object; nil = it cannot be read
	into  func(body, o api.Object) error // puts the body into a copy of the object
}

// part finds what a request writes.
func (k *resource) part(sub string, v api.Verb) (part, error) {
	sameBody := part{fresh: k.fresh, read: func(o api.Object) api.Object { return o }}
	s, special := k.rules.Subs[sub]
	switch {
	case sub == "":
		sameBody.into = k.putAllButStatus
		return sameBody, nil
	case special && (v == api.VerbCreate) == (s.Verb == api.VerbCreate):
		return part{fresh: s.New, read: s.Get, into: s.Into}, nil
	case sub == "status" && k.status.Name != "" && v != api.VerbCreate:
		sameBody.into = k.putStatus
		return sameBody, nil
	case sub == "finalize" && k.Is(api.NamespaceKind) && v == api.VerbUpdate:
		return finalizeNamespace, nil
	}
	return part{}, apierrors.NewMethodNotSupported(k.Resource(), string(v)+" of "+sub)
}

func (k *resource) fresh() api.Object {
	o := k.Versions[0].New()
	return api.Kinded(k.Kind, "", o)
}

func (k *resource) putAllButStatus(body, o api.Object) error {
	if k.status.Name != "" {
		of(body, k.status).Set(of(o, k.status))
	}
	old := clone(o)
	reflect.ValueOf(o).Elem().Set(reflect.ValueOf(body).Elem())
	keepSystemMeta(o, old)
	keepFinalizers(o, old)
	return nil
}

func (k *resource) putStatus(body, o api.Object) error {
	of(o, k.status).Set(of(body, k.status))
	return nil
}
