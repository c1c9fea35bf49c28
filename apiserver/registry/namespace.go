package registry

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/apiserver/store"
	"optimist/internal/api"
)

// Namespaces differ from other kinds in how they end: DELETE makes them Terminating, and what they hold (spec.finalizers) keeps them
// until the namespace controller has emptied them and says so through the subresource finalize.

// immortal namespaces may not be deleted: the system lives in them.
var immortal = []string{metav1.NamespaceDefault, metav1.NamespaceSystem, metav1.NamespacePublic}

// readNamespace is what a creation needs to know of its namespace: Active, Terminating, or "" when there is none.
func (r *Registry) readNamespace(e store.Entry) (corev1.NamespacePhase, error) {
	if e.Mod == 0 {
		return "", nil
	}
	o, err := r.resources[api.NamespaceKind.GroupKind()].open(e)
	if err == nil && !deleting(o) && o.(*corev1.Namespace).Status.Phase != corev1.NamespaceTerminating {
		return corev1.NamespaceActive, nil
	}
	return corev1.NamespaceTerminating, err
}

// roomIn returns the guard under which an object may be created in a namespace: that it goes on existing as it is.
func (r *Registry) roomIn(ctx context.Context, k *resource, key api.Key) ([]store.Guard, error) {
	if !k.Namespaced {
		return nil, nil
	}
	f, err := r.namespaces.recall(ctx, r.store, StoreKey(api.NamespaceKind, api.Key{Name: key.Namespace}),
		func(p corev1.NamespacePhase) bool { return p == corev1.NamespaceActive })
	switch {
	case err != nil:
		return nil, err
	case f.value == "":
		return nil, api.NamespaceKind.NotFound(key.Namespace)
	case f.value == corev1.NamespaceTerminating:
		return nil, terminating(k, key)
	}
	return []store.Guard{f.guard}, nil
}

func terminating(k *resource, key api.Key) error {
	err := apierrors.NewForbidden(k.Resource(), key.Name,
		fmt.Errorf("unable to create new content in namespace %s because it is being terminated", key.Namespace))
	err.ErrStatus.Details.Causes = append(err.ErrStatus.Details.Causes, metav1.StatusCause{
		Type:    corev1.NamespaceTerminatingCause,
		Message: fmt.Sprintf("namespace %s is being terminated", key.Namespace),
		Field:   "metadata.namespace",
	})
	return err
}

// beginNamespace and keepFinalizers give spec.finalizers to the system alone.
func beginNamespace(o api.Object) {
	if ns, ok := o.(*corev1.Namespace); ok {
		ns.Status.Phase = corev1.NamespaceActive
		if !slices.Contains(ns.Spec.Finalizers, corev1.FinalizerKubernetes) {
			ns.Spec.Finalizers = append(ns.Spec.Finalizers, corev1.FinalizerKubernetes)
		}
	}
}

func keepFinalizers(o, old api.Object) {
	if ns, ok := o.(*corev1.Namespace); ok {
		ns.Spec.Finalizers = old.(*corev1.Namespace).Spec.Finalizers
	}
}

// finalizeNamespace is the subresource finalize: it writes spec.finalizers and nothing else.
var finalizeNamespace = Sub{
	New: func() api.Object { return api.Kinded(api.NamespaceKind, "", &corev1.Namespace{}) },
	Get: whole,
	Into: func(body, o api.Object) error {
		o.(*corev1.Namespace).Spec.Finalizers = body.(*corev1.Namespace).Spec.Finalizers
		return nil
	},
}

func terminate(o api.Object) {
	if ns, ok := o.(*corev1.Namespace); ok {
		ns.Status.Phase = corev1.NamespaceTerminating
	}
}
