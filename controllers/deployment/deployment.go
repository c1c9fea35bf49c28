// Package deployment rolls Pods over from one template to the next by growing one ReplicaSet and shrinking the others.
//
//	template changes                                        maxSurge 1, maxUnavailable 1, 4 replicas
//	      │              old  ████  →  ███  →  ██  →  ·
//	      ▼              new  ·     →  ██   →  ███ →  ████   never fewer than 3 available, never more than 5 in all
//	one ReplicaSet per template, told apart by the label pod-template-hash
//
// A reconcile takes the first stage that has something to do, and is then called again, since its own writes are changes too:
//
//	claim ReplicaSets → the new one exists and is annotated → scale proportionally if the size changed → roll out → clean up → report
//
// Start reading at reconcile below, then plan.go (the stages), rolling.go and recreate.go (the strategies), scale.go (proportions),
// history.go (revisions and old ReplicaSets), status.go (conditions).
//
// Invariants: with RollingUpdate the ReplicaSets together never ask for more than replicas + maxSurge, and available Pods are not taken
// below replicas − maxUnavailable; with Recreate no Pod of the new template is asked for while one of an old template is left.
//
// Real Kubernetes does the same arithmetic, interleaved with its writes; here it is a pure function of what is.
package deployment

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

// Name is the controller's name: it writes as system:controller:deployment.
const Name = "deployment"

// orphans indexes ReplicaSets that nobody controls by namespace.
const orphans = "orphans"

type controller struct {
	reconcile.Deps
	deployments informer.Reader[*appsv1.Deployment]
	sets        informer.Reader[*appsv1.ReplicaSet]
	pods        informer.Reader[*corev1.Pod]
}

// New declares the controller.
func New(d reconcile.Deps) reconcile.Controller {
	c := &controller{Deps: d,
		deployments: informer.Watch(d.Set, api.Deployments, informer.Options[*appsv1.Deployment]{}),
		sets: informer.Watch(d.Set, api.ReplicaSets, informer.Options[*appsv1.ReplicaSet]{
			Index: map[string]func(*appsv1.ReplicaSet) []string{orphans: orphanage}}),
		pods: informer.Watch(d.Set, api.Pods, informer.Options[*corev1.Pod]{}),
	}
	return reconcile.Controller{
		Name:    Name,
		For:     api.DeploymentKind,
		Owns:    []*api.Kind{api.ReplicaSetKind},
		Watches: []reconcile.Watch{{Kind: api.ReplicaSetKind, Map: c.adopters}, {Kind: api.PodKind, Map: c.grandparent}},
		Writes: []reconcile.Grant{
			{Kind: api.ReplicaSetKind, Verbs: []api.Verb{api.VerbCreate, api.VerbUpdate, api.VerbPatch, api.VerbDelete}},
			{Kind: api.DeploymentKind, Verbs: []api.Verb{api.VerbGet, api.VerbUpdate}},
			{Kind: api.DeploymentKind, Sub: "status", Verbs: []api.Verb{api.VerbUpdate}},
		},
		Reconcile: c.reconcile,
		Workers:   4,
	}
}

func (c *controller) reconcile(ctx context.Context, key api.Key) (time.Duration, error) {
	d, ok := c.deployments.Get(key)
	if !ok {
		return 0, nil
	}
	v, now := c.view(d), time.Now()
	steps, again := plan(v, now)
	err := reconcile.Act(ctx, c.Deps, d, steps)
	if err != nil && !reconcile.Stale(err) {
		if serr := reconcile.Act(ctx, c.Deps, d, reportFailure(v, now, err)); serr != nil {
			c.Log.Debug("the failure could not be reported", "object", key.String(), "err", serr)
		}
	}
	return again, err
}

func (c *controller) view(d *appsv1.Deployment) view {
	v := view{
		deployment: d,
		sets:       append(c.sets.OwnedBy(d.UID), c.sets.Indexed(orphans, d.Namespace)...),
		pods:       map[string]int{},
		taken: func(name string) bool {
			_, ok := c.sets.Get(api.Key{Namespace: d.Namespace, Name: name})
			return ok
		},
	}
	if d.Spec.Strategy.Type != appsv1.RecreateDeploymentStrategyType {
		return v
	}
	for _, set := range v.sets {
		for _, p := range c.pods.OwnedBy(set.UID) {
			if !api.Ended(p) {
				v.pods[set.Name]++
			}
		}
	}
	return v
}

func orphanage(set *appsv1.ReplicaSet) []string {
	if metav1.GetControllerOfNoCopy(set) != nil {
		return nil
	}
	return []string{set.Namespace}
}

// adopters leads from an orphaned ReplicaSet to the Deployments that could adopt it.
func (c *controller) adopters(_, after api.Object) []api.Key {
	if after == nil || metav1.GetControllerOfNoCopy(after) != nil || after.GetDeletionTimestamp() != nil {
		return nil
	}
	var keys []api.Key
	for d := range c.deployments.List(after.GetNamespace(), nil) {
		if sel, err := metav1.LabelSelectorAsSelector(d.Spec.Selector); err == nil && sel.Matches(labels.Set(after.GetLabels())) {
			keys = append(keys, api.KeyOf(d))
		}
	}
	return keys
}

// grandparent leads from a Pod that ended to its Deployment: Recreate waits for that.
func (c *controller) grandparent(before, after api.Object) []api.Key {
	if before == nil || after != nil && after.(*corev1.Pod).Status.Phase == before.(*corev1.Pod).Status.Phase {
		return nil
	}
	setKey, ok := reconcile.ControllerOf(api.ReplicaSetKind, before)
	if !ok {
		return nil
	}
	set, ok := c.sets.Get(setKey)
	if !ok {
		return nil
	}
	if key, ok := reconcile.ControllerOf(api.DeploymentKind, set); ok {
		return []api.Key{key}
	}
	return nil
}
