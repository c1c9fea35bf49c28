package api

import (
	"fmt"
)

type protobuf interface {
	Marshal() ([]byte, error)
	Unmarshal([]byte) error
}

// Marshal encodes an object in its own protobuf form (k8s.io/api's generated code): the form on the native wire and in the store.
func Marshal(o Object) ([]byte, error) {
	p, ok := o.(protobuf)
	if !ok {
		return nil, fmt.Errorf("%T has no protobuf form", o)
	}
	return p.Marshal()
}

// Unmarshal decodes what Marshal wrote into a new object of the kind in a version ("" = the stored one).
func Unmarshal(k *Kind, version string, data []byte) (Object, error) {
	o, err := k.New(version)
	if err != nil {
		return nil, err
	}
	p, ok := o.(protobuf)
	if !ok {
		return nil, fmt.Errorf("%s has no protobuf form", k)
	}
	if err := p.Unmarshal(data); err != nil {
		return nil, fmt.Errorf("decode %s: %w", k, err)
	}
	return o, nil
}

// Kinded sets apiVersion and kind on a typed object, which callers often leave out.
func Kinded(k *Kind, version string, o Object) Object {
	if gvk := k.GVK(version); o.GetObjectKind().GroupVersionKind() != gvk {
		o.GetObjectKind().SetGroupVersionKind(gvk)
	}
	return o
}
