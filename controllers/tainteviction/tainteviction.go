// Package tainteviction deletes pods from nodes whose NoExecute taints they do not tolerate, or no longer.
//
//	node: unreachable:NoExecute, added 12:00:00        not tolerated                        ⇒ delete at once
//	pod:  tolerates it for 300 s, for ever, not        tolerated with tolerationSeconds     ⇒ delete at 12:05:00, if the taint is still there
//	                                                   tolerated without                    ⇒ stay
//
// The pod's owner makes another one, which the scheduler puts elsewhere. On a silent node the old pod stays Terminating until its agent is back
// to stop it, or the Node is deleted.
//
// Start reading at reconcile below, then plan.go.
//
// Invariants: the time counts from the taint's timeAdded, which the API server keeps; restarting this controller changes no deadline, and a taint
// that goes takes its deadline along. Nothing is deleted because of the cache alone: the server is asked whether the taint is still there.
//
// Real Kubernetes' taint-eviction-controller counts from when it first saw the taint, in memory. (KEP-166, KEP-3902; Concepts → Taints and
// Tolerations; the condition: KEP-3329.) It also says when a deletion is called off; here none was ever scheduled.
package tainteviction

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"

	"optimist/internal/api"
	"optimist/internal/informer"
	"optimist/internal/reconcile"
)

// Name is the controller's name: it writes as system:controller:tainteviction.
const Name = "tainteviction"

const onNode = "node" // indexes Pods by the node that they are bound to

type controller struct {
	reconcile.Deps
	nodes informer.Reader[*corev1.Node]
	pods  informer.Reader[*corev1.Pod]
}

// New declares the controller.
func New(d reconcile.Deps) reconcile.Controller {
	c := &controller{Deps: d,
		nodes: informer.Watch(d.Set, api.Nodes, informer.Options[*corev1.Node]{}),
		pods: informer.Watch(d.Set, api.Pods, informer.Options[*corev1.Pod]{Index: map[string]func(*corev1.Pod) []string{
			onNode: func(p *corev1.Pod) []string { return []string{p.Spec.NodeName} }}}),
	}
	return reconcile.Controller{
		Name:    Name,
		For:     api.PodKind,
		Watches: []reconcile.Watch{{Kind: api.NodeKind, Map: c.tainted}},
		Writes: []reconcile.Grant{
			{Kind: api.PodKind, Verbs: []api.Verb{api.VerbDelete}},
			{Kind: api.PodKind, Sub: "status", Verbs: []api.Verb{api.VerbPatch}},
			{Kind: api.NodeKind, Verbs: []api.Verb{api.VerbGet}},
		},
		Reconcile: c.reconcile,
		Workers:   4,
	}
}

func (c *controller) reconcile(ctx context.Context, key api.Key) (time.Duration, error) {
	p, ok := c.pods.Get(key)
	if !ok || p.Spec.NodeName == "" {
		return 0, nil
	}
	n, ok := c.nodes.Get(api.Key{Name: p.Spec.NodeName})
	if !ok {
		return 0, nil // package podgc's business
	}
	steps, again := plan(p, n.Spec.Taints, time.Now())
	if len(steps) > 0 { // it may be us who have not heard that the taint has gone
		live, err := api.Nodes.Get(ctx, c.Service, api.KeyOf(n))
		if err != nil {
			return 0, err
		}
		steps, again = plan(p, live.Spec.Taints, time.Now())
	}
	return again, reconcile.Act(ctx, c.Deps, p, steps)
}

// tainted leads from a node whose NoExecute taints have changed to the pods on it.
func (c *controller) tainted(before, after api.Object) []api.Key {
	if after == nil || before != nil && equality.Semantic.DeepEqual(noExecute(before), noExecute(after)) {
		return nil
	}
	var keys []api.Key
	for _, p := range c.pods.Indexed(onNode, after.GetName()) {
		keys = append(keys, api.KeyOf(p))
	}
	return keys
}

func noExecute(n api.Object) []corev1.Taint {
	return slices.DeleteFunc(slices.Clone(n.(*corev1.Node).Spec.Taints), func(t corev1.Taint) bool { return t.Effect != corev1.TaintEffectNoExecute })
}
