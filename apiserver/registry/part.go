package registry

import (
	"reflect"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/internal/api"
)

// part finds what a request writes. The main resource is the part that has everything but the status.
func (k *resource) part(sub string, v api.Verb) (Sub, error) {
	sameBody := Sub{New: k.fresh, Get: func(o api.Object) api.Object { return o }}
	s, special := k.rules.Subs[sub]
	switch {
	case sub == "":
		sameBody.Into = k.putAllButStatus
		return sameBody, nil
	case special && (v == api.VerbCreate) == (s.Verb == api.VerbCreate):
		return s, nil
	case sub == "status" && k.status.Name != "" && v != api.VerbCreate:
		sameBody.Into = k.putStatus
		return sameBody, nil
	case sub == "finalize" && k.Is(api.NamespaceKind) && v == api.VerbUpdate:
		return finalizeNamespace, nil
	}
	return Sub{}, apierrors.NewMethodNotSupported(k.Resource(), string(v)+" of "+sub)
}

func (k *resource) fresh() api.Object {
	return api.Kinded(k.Kind, "", k.Versions[0].New())
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
