package api

import (
	"strconv"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Object is anything the API server stores: the types of k8s.io/api.
type Object interface {
	metav1.Object
	runtime.Object
}

// Key names an object among those of its kind. Namespace is "" for kinds that live outside namespaces.
type Key struct{ Namespace, Name string }

// String is "namespace/name", or "name" outside namespaces.
func (k Key) String() string {
	if k.Namespace == "" {
		return k.Name
	}
	return k.Namespace + "/" + k.Name
}

// KeyOf returns an object's key.
func KeyOf(o metav1.Object) Key { return Key{Namespace: o.GetNamespace(), Name: o.GetName()} }

// ServiceOf is the Service that an EndpointSlice is of, by its label; without one it has no name.
func ServiceOf(slice metav1.Object) Key {
	return Key{Namespace: slice.GetNamespace(), Name: slice.GetLabels()[discoveryv1.LabelServiceName]}
}

// Revision is a point in the history of the whole cluster: each write makes the next one. As text it is an object's
// metadata.resourceVersion. 0 means "none" or "any".
type Revision int64

// String is the form in metadata.resourceVersion: decimal; "" for 0.
func (r Revision) String() string {
	if r == 0 {
		return ""
	}
	return strconv.FormatInt(int64(r), 10)
}

// ParseRevision reads what String wrote; "" and "0" are 0.
func ParseRevision(s string) (Revision, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 63)
	return Revision(n), err
}

// RevisionOf is the revision that wrote this state of an object; 0 if it was never stored.
func RevisionOf(o metav1.Object) Revision {
	r, _ := ParseRevision(o.GetResourceVersion())
	return r
}
