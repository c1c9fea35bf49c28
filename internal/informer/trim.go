package informer

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
)

// Metadata is a Trim that keeps an object's metadata only (of that, what ownership and deletion are about).
func Metadata(o api.Object) api.Object {
	m := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Name: o.GetName(), Namespace: o.GetNamespace(), UID: o.GetUID(), ResourceVersion: o.GetResourceVersion(), Generation: o.GetGeneration(),
		CreationTimestamp: o.GetCreationTimestamp(), DeletionTimestamp: o.GetDeletionTimestamp(),
		DeletionGracePeriodSeconds: o.GetDeletionGracePeriodSeconds(),
		Labels:                     o.GetLabels(), OwnerReferences: o.GetOwnerReferences(), Finalizers: o.GetFinalizers(),
	}}
	m.SetGroupVersionKind(o.GetObjectKind().GroupVersionKind())
	if k := api.Builtin.Of(o); k != nil {
		m.SetGroupVersionKind(k.GVK("")) // whoever sent it may have left it out
	}
	return m
}
