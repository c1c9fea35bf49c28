// Package namespace empties a namespace that is being deleted.
//
//	kubectl delete ns shop ──▶ Terminating ──▶ pods, with their grace ──▶ everything else ──▶ nothing left: finalize ──▶ gone
//	                                              │ status says what remains, and which finalizers hold it
//
// The API server refuses to create anything in a terminating namespace, so that what is empty stays so.
//
// Start reading at reconcile below, then plan.go.
//
// Invariant: spec.finalizers is only cleared when the API server itself, asked after the deletion, has nothing in the namespace.
//
// Real Kubernetes does the same by discovery and metadata lists at every look; here the caches that the garbage collector watches anyway say
// what is there, until they say that it is nothing.
package namespace

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"optimist/internal/api"
	"optimist/internal/informer"
	"optimist/internal/reconcile"
)

// Name is the controller's name: it writes as system:controller:namespace.
const Name = "namespace"

type controller struct {
	reconcile.Deps
	namespaces informer.Reader[*corev1.Namespace]
	kinds      []*api.Kind // that live in namespaces and are watched, Pods first
	content    map[schema.GroupKind]informer.Reader[api.Object]
}

// New declares the controller.
func New(d reconcile.Deps) reconcile.Controller {
	c := &controller{Deps: d, content: map[schema.GroupKind]informer.Reader[api.Object]{},
		namespaces: informer.Watch(d.Set, api.Namespaces, informer.Options[*corev1.Namespace]{})}
	r := reconcile.Controller{
		Name: Name,
		For:  api.NamespaceKind,
		Writes: []reconcile.Grant{
			{Verbs: []api.Verb{api.VerbDelete, api.VerbDeleteCollection, api.VerbList}},
			{Kind: api.NamespaceKind, Sub: "status", Verbs: []api.Verb{api.VerbUpdate}},
			{Kind: api.NamespaceKind, Sub: "finalize", Verbs: []api.Verb{api.VerbUpdate}},
		},
		Reconcile: c.reconcile,
		Workers:   2,
	}
	for _, k := range api.Builtin.Kept() {
		if !k.Namespaced || k.Is(api.EventKind) { // Events come and go by themselves; the last step sweeps them
			continue
		}
		c.kinds = append(c.kinds, k)
		c.content[k.GroupKind()] = informer.Watch(d.Set, api.Of[api.Object]{Kind: k}, informer.Options[api.Object]{Trim: informer.Metadata})
		r.Watches = append(r.Watches, reconcile.Watch{Kind: k, Map: c.leaving})
	}
	return r
}

func (c *controller) reconcile(ctx context.Context, key api.Key) (time.Duration, error) {
	ns, ok := c.namespaces.Get(key)
	if !ok || ns.DeletionTimestamp == nil {
		return 0, nil
	}
	v := view{namespace: ns}
	for _, k := range c.kinds {
		if objects := slices.Collect(c.content[k.GroupKind()].List(ns.Name, nil)); len(objects) > 0 {
			v.content = append(v.content, content{k, objects})
		}
	}
	if len(v.content) == 0 {
		if left, err := c.left(ctx, ns.Name); err != nil || left {
			return soon, err
		}
	}
	steps, again := plan(v, time.Now())
	return again, reconcile.Act(ctx, c.Deps, ns, steps)
}

// soon is when what the caches do not know yet is expected in them.
const soon = time.Second

// left asks the API server itself whether a namespace that looks empty is: the caches are watches of their own, and one may be older than the
// namespace's deletion.
func (c *controller) left(ctx context.Context, namespace string) (bool, error) {
	for _, k := range c.kinds {
		l, err := c.Service.List(ctx, api.Target{Kind: k, Key: api.Key{Namespace: namespace}}, api.ListOptions{Limit: 1})
		if err != nil || len(l.Items) > 0 {
			return true, err
		}
	}
	return false, nil
}

// leaving leads from an object that changes in a terminating namespace to that namespace.
func (c *controller) leaving(before, after api.Object) []api.Key {
	o := after
	if o == nil {
		o = before
	}
	key := api.Key{Name: o.GetNamespace()}
	if ns, ok := c.namespaces.Get(key); ok && ns.DeletionTimestamp != nil {
		return []api.Key{key}
	}
	return nil
}
