// Package replicaset keeps as many Pods alive as each ReplicaSet asks for.
//
//	spec.replicas = 3     pods it controls: ● ● ○(being deleted)     ⇒  create 1, named after the set's uid and the first free number
//	spec.replicas = 1     pods it controls: ● ● ◐(not ready)         ⇒  delete 2: the unready one first, then the newest
//
// Which Pods are its own is said by their controller owner reference; orphans whose labels match are adopted, Pods whose labels no longer
// match are released. Failed and succeeded Pods do not count, so they are replaced.
//
// Start reading at reconcile below, then plan.go (what to do) and status.go (what to report).
//
// Invariant: a Pod's name follows from the set's uid and a number that no Pod holds; repeating a create whose answer was lost cannot make
// a second Pod.
//
// Real Kubernetes generates random Pod names and prevents doubles by counting "expectations"; it creates in slow-start batches.
package replicaset

import (
	"context"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"optimist/internal/api"
	"optimist/internal/informer"
	"optimist/internal/reconcile"
)

// Name is the controller's name: it writes as system:controller:replicaset.
const Name = "replicaset"

// orphans indexes Pods that nobody controls by namespace.
const orphans = "orphans"

type controller struct {
	reconcile.Deps
	sets informer.Reader[*appsv1.ReplicaSet]
	pods informer.Reader[*corev1.Pod]
}

// New declares the controller.
func New(d reconcile.Deps) reconcile.Controller {
	c := &controller{Deps: d,
		sets: informer.Watch(d.Set, api.ReplicaSets, informer.Options[*appsv1.ReplicaSet]{}),
		pods: informer.Watch(d.Set, api.Pods, informer.Options[*corev1.Pod]{Index: map[string]func(*corev1.Pod) []string{orphans: orphanage}}),
	}
	return reconcile.Controller{
		Name:    Name,
		For:     api.ReplicaSetKind,
		Owns:    []*api.Kind{api.PodKind},
		Watches: []reconcile.Watch{{Kind: api.PodKind, Map: c.adopters}},
		Writes: []reconcile.Grant{
			{Kind: api.PodKind, Verbs: []api.Verb{api.VerbCreate, api.VerbDelete, api.VerbPatch}},
			{Kind: api.ReplicaSetKind, Verbs: []api.Verb{api.VerbGet}},
			{Kind: api.ReplicaSetKind, Sub: "status", Verbs: []api.Verb{api.VerbUpdate}},
		},
		Reconcile: c.reconcile,
		Workers:   4,
	}
}

func (c *controller) reconcile(ctx context.Context, key api.Key) (time.Duration, error) {
	set, ok := c.sets.Get(key)
	if !ok {
		return 0, nil
	}
	v, now := c.view(set), time.Now()
	steps, again := plan(v, now)
	err := reconcile.Act(ctx, c.Deps, set, steps)
	if err != nil && !reconcile.Stale(err) {
		if serr := reconcile.Act(ctx, c.Deps, set, report(v, now, err)); serr != nil {
			c.Log.Debug("the failure could not be reported", "object", key.String(), "err", serr)
		}
	}
	return again, err
}

func (c *controller) view(set *appsv1.ReplicaSet) view {
	v := view{
		set:  set,
		pods: append(c.pods.OwnedBy(set.UID), c.pods.Indexed(orphans, set.Namespace)...),
		taken: func(name string) bool {
			_, ok := c.pods.Get(api.Key{Namespace: set.Namespace, Name: name})
			return ok
		},
	}
	if ref := metav1.GetControllerOfNoCopy(set); ref != nil {
		for _, sibling := range c.sets.OwnedBy(ref.UID) {
			v.related = append(v.related, c.pods.OwnedBy(sibling.UID)...)
		}
	} else {
		v.related = c.pods.OwnedBy(set.UID)
	}
	return v
}

func orphanage(p *corev1.Pod) []string {
	if metav1.GetControllerOfNoCopy(p) != nil {
		return nil
	}
	return []string{p.Namespace}
}

// adopters leads from an orphan to the sets that could adopt it.
func (c *controller) adopters(_, after api.Object) []api.Key {
	if after == nil || metav1.GetControllerOfNoCopy(after) != nil || after.GetDeletionTimestamp() != nil {
		return nil
	}
	var keys []api.Key
	for set := range c.sets.List(after.GetNamespace(), nil) {
		if sel, err := metav1.LabelSelectorAsSelector(set.Spec.Selector); err == nil && sel.Matches(labels.Set(after.GetLabels())) {
			keys = append(keys, api.KeyOf(set))
		}
	}
	return keys
}
