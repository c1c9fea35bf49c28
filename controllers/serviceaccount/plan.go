package serviceaccount

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
	"optimist/internal/reconcile"
)

// account is the name that every namespace has.
const account = "default"

// plan makes the account where it misses; a namespace that ends gets nothing new.
func plan(ns *corev1.Namespace, there bool) []reconcile.Action {
	if there || ns.DeletionTimestamp != nil || ns.Status.Phase == corev1.NamespaceTerminating {
		return nil
	}
	a := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: ns.Name, Name: account}}
	return []reconcile.Action{reconcile.Create(api.ServiceAccountKind, a, "pods that name no account run as this one", nil)}
}
