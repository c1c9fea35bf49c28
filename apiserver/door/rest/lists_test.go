package rest_test

import (
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"optimist/internal/api"
)

// lists are the typed lists in which real clients receive what the suite lists.
var lists = map[string]func() runtime.Object{
	"ConfigMap": func() runtime.Object { return &corev1.ConfigMapList{} },
	"Secret":    func() runtime.Object { return &corev1.SecretList{} },
	"Namespace": func() runtime.Object { return &corev1.NamespaceList{} },
	"Pod":       func() runtime.Object { return &corev1.PodList{} },
	"Event":     func() runtime.Object { return &eventsv1.EventList{} },
}

func eachItem(list runtime.Object, f func(api.Object)) error {
	return meta.EachListItem(list, func(o runtime.Object) error { f(o.(api.Object)); return nil })
}

// seedBodies are what the fuzzer begins with.
var seedBodies = map[string]any{
	"ConfigMap":     &corev1.ConfigMap{TypeMeta: metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"}, ObjectMeta: metav1.ObjectMeta{Name: "a"}, Data: map[string]string{"k": "v"}},
	"DeleteOptions": &metav1.DeleteOptions{TypeMeta: metav1.TypeMeta{Kind: "DeleteOptions", APIVersion: "v1"}, GracePeriodSeconds: new(int64(3))},
	"Binding":       &corev1.Binding{TypeMeta: metav1.TypeMeta{Kind: "Binding", APIVersion: "v1"}, Target: corev1.ObjectReference{Name: "n"}},
}
