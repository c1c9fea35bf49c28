// Package serviceaccount gives every namespace the ServiceAccount as which its pods run that name no other.
//
//	Namespace shop, active ──▶ ServiceAccount shop/default, there again as soon as it is deleted
//
// Start reading at reconcile below, then plan.go.
//
// Invariant: what somebody made of the account (imagePullSecrets, labels) is left alone; only whether it is there counts.
//
// Real Kubernetes does the same in its serviceaccount controller. The tokens are not this package's: whoever runs a pod asks for them (TokenRequest).
package serviceaccount

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"

	"optimist/internal/api"
	"optimist/internal/informer"
	"optimist/internal/reconcile"
)

// Name is the controller's name: it writes as system:controller:serviceaccount.
const Name = "serviceaccount"

type controller struct {
	reconcile.Deps
	namespaces informer.Reader[*corev1.Namespace]
	accounts   informer.Reader[*corev1.ServiceAccount]
}

// New declares the controller.
func New(d reconcile.Deps) reconcile.Controller {
	c := &controller{Deps: d,
		namespaces: informer.Watch(d.Set, api.Namespaces, informer.Options[*corev1.Namespace]{}),
		accounts:   informer.Watch(d.Set, api.ServiceAccounts, informer.Options[*corev1.ServiceAccount]{}),
	}
	return reconcile.Controller{
		Name:      Name,
		For:       api.NamespaceKind,
		Watches:   []reconcile.Watch{{Kind: api.ServiceAccountKind, Map: toNamespace}},
		Writes:    []reconcile.Grant{{Kind: api.ServiceAccountKind, Verbs: []api.Verb{api.VerbCreate}}},
		Reconcile: c.reconcile,
	}
}

func (c *controller) reconcile(ctx context.Context, key api.Key) (time.Duration, error) {
	ns, ok := c.namespaces.Get(key)
	if !ok {
		return 0, nil
	}
	_, there := c.accounts.Get(api.Key{Namespace: ns.Name, Name: account})
	return 0, reconcile.Act(ctx, c.Deps, ns, plan(ns, there))
}

// toNamespace leads from a default account that has gone to its namespace.
func toNamespace(before, after api.Object) []api.Key {
	if after != nil || before.GetName() != account {
		return nil
	}
	return []api.Key{{Name: before.GetNamespace()}}
}
