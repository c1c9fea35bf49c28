package rest_test

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"

	"optimist/internal/api"
)

// lists are the typed lists in which real clients receive what the suite lists.
var lists = map[string]func() runtime.Object{
	"ConfigMap": func() runtime.Object { return &corev1.ConfigMapList{} },
	"Secret":    func() runtime.Object { return &corev1.SecretList{} },
	"Namespace": func() runtime.Object { return &corev1.NamespaceList{} },
	"Pod":       func() runtime.Object { return &corev1.PodList{} },
}

func eachItem(list runtime.Object, f func(api.Object)) error {
	return meta.EachListItem(list, func(o runtime.Object) error { f(o.(api.Object)); return nil })
}
