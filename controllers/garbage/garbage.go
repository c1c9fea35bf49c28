// Package garbage deletes what nobody owns any more.
//
//	Deployment ◀─owner─ ReplicaSet ◀─owner─ Pod        delete the Deployment:
//
//	Background  it goes at once; its ReplicaSet dangles and is deleted, then the Pods
//	Foreground  it stays (finalizer foregroundDeletion) until every dependent that blocks it is gone
//	Orphan      it stays (finalizer orphan) until its dependents have forgotten it
//
// A key names an object of any kind: "pods/web-x1" in its namespace. An object is looked at when it changes and when one of its owners goes.
//
// Start reading at reconcile below, then plan.go.
//
// Invariant: nothing is deleted because of the cache alone: that an owner is gone is asked of the server first, and the delete names the
// dependent's uid and revision, so what was re-created or adopted meanwhile is left alone.
//
// Real Kubernetes keeps its own graph of uids with virtual nodes for owners not seen yet; here the informers' owner index is the graph, and
// owners not seen are simply asked for.
package garbage

import (
	"context"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"optimist/internal/api"
	"optimist/internal/informer"
	"optimist/internal/reconcile"
)

// Name is the controller's name: it writes as system:controller:garbage.
const Name = "garbage"

type controller struct {
	reconcile.Deps
	kinds   []*api.Kind // all that can own or be owned
	readers map[schema.GroupKind]informer.Reader[api.Object]
}

// New declares the controller.
func New(d reconcile.Deps) reconcile.Controller {
	c := &controller{Deps: d, readers: map[schema.GroupKind]informer.Reader[api.Object]{}}
	r := reconcile.Controller{
		Name:      Name,
		Writes:    []reconcile.Grant{{Verbs: []api.Verb{api.VerbGet, api.VerbPatch, api.VerbDelete}}},
		Reconcile: c.reconcile,
		Workers:   4,
	}
	for _, k := range api.Builtin.Kept() {
		if k.Is(api.EventKind) { // Events own nothing, are owned by nothing, and are many
			continue
		}
		c.kinds = append(c.kinds, k)
		c.readers[k.GroupKind()] = informer.Watch(d.Set, api.Of[api.Object]{Kind: k}, informer.Options[api.Object]{Trim: informer.Metadata})
		r.Watches = append(r.Watches, reconcile.Watch{Kind: k, Map: func(before, after api.Object) []api.Key { return c.affected(k, before, after) }})
	}
	return r
}

func (c *controller) reconcile(ctx context.Context, key api.Key) (time.Duration, error) {
	v, ok := c.view(key)
	if !ok {
		return 0, nil
	}
	again := time.Duration(0)
	for _, ref := range v.object.GetOwnerReferences() {
		o, watched, err := c.owner(ctx, ref, v.object.GetNamespace())
		if err != nil {
			return 0, err
		}
		if v.owners[ref.UID] = o; !watched {
			again = soon
		}
	}
	steps, _ := plan(v, time.Now())
	return again, reconcile.Act(ctx, c.Deps, v.object, steps)
}

func (c *controller) view(key api.Key) (view, bool) {
	plural, name, _ := strings.Cut(key.Name, "/")
	k := api.Builtin.Find(plural)
	o, ok := c.readers[k.GroupKind()].Get(api.Key{Namespace: key.Namespace, Name: name})
	if !ok {
		return view{}, false
	}
	return view{kind: k, object: o, owners: map[types.UID]owner{}, dependents: c.dependents(o.GetUID())}, true
}

// soon is when an owner that only the server knows is asked for again: if it goes before a watch has told that it came, no change will call us.
const soon = time.Second

// owner finds out what became of an owner, and whether a change of that will call us. Only the server's word counts for its absence.
func (c *controller) owner(ctx context.Context, ref metav1.OwnerReference, namespace string) (o owner, watched bool, err error) {
	k := api.Builtin.Kind(schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind).GroupKind())
	if k == nil || k.Virtual || k.Namespaced && namespace == "" {
		return unknown, true, nil // nobody can say that it is gone
	}
	key := api.Key{Name: ref.Name}
	if k.Namespaced {
		key.Namespace = namespace
	}
	if reader := c.readers[k.GroupKind()]; reader != nil {
		if o, ok := reader.Get(key); ok && o.GetUID() == ref.UID {
			return stateOf(o), true, nil
		}
	}
	live, err := c.Service.Get(ctx, api.Target{Kind: k, Key: key}, api.GetOptions{})
	switch {
	case apierrors.IsNotFound(err) || err == nil && live.Object.GetUID() != ref.UID:
		return absent, true, nil
	case err != nil:
		return unknown, false, err
	}
	return stateOf(live.Object), c.readers[k.GroupKind()] == nil, nil
}

func (c *controller) dependents(uid types.UID) []dependent {
	var all []dependent
	for _, k := range c.kinds {
		for _, o := range c.readers[k.GroupKind()].OwnedBy(uid) {
			all = append(all, dependent{k, o})
		}
	}
	return all
}

// affected leads from a change to the object itself, to its dependents if it is going or gone, and to its owners if it is: they may wait for it.
func (c *controller) affected(k *api.Kind, before, after api.Object) []api.Key {
	o := after
	if o == nil {
		o = before
	} else if before != nil && sameEdges(before, after) {
		return nil
	}
	keys := []api.Key{keyOf(k, o)}
	if after == nil || after.GetDeletionTimestamp() != nil {
		for _, d := range c.dependents(o.GetUID()) {
			keys = append(keys, keyOf(d.kind, d.object))
		}
	}
	if before != nil {
		for _, ref := range before.GetOwnerReferences() {
			if ok := api.Builtin.Kind(schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind).GroupKind()); ok != nil && c.readers[ok.GroupKind()] != nil {
				keys = append(keys, ownerKey(ok, ref, before))
			}
		}
	}
	return keys
}

// sameEdges reports that a change is none of our business: as far as ownership goes both states are the same.
func sameEdges(a, b api.Object) bool {
	return (a.GetDeletionTimestamp() == nil) == (b.GetDeletionTimestamp() == nil) && slices.Equal(a.GetFinalizers(), b.GetFinalizers()) &&
		equality.Semantic.DeepEqual(a.GetOwnerReferences(), b.GetOwnerReferences())
}

// keyOf names an object of any kind; no object's own name contains a slash.
func keyOf(k *api.Kind, o api.Object) api.Key {
	return api.Key{Namespace: o.GetNamespace(), Name: k.String() + "/" + o.GetName()}
}

func ownerKey(k *api.Kind, ref metav1.OwnerReference, dependent api.Object) api.Key {
	key := api.Key{Name: k.String() + "/" + ref.Name}
	if k.Namespaced {
		key.Namespace = dependent.GetNamespace()
	}
	return key
}
