// Package nodelifecycle speaks for nodes that have fallen silent, and turns what is known of a node into taints.
//
//	Lease renewed, status posted ──▶ heard: when, by our own clock, something of the node last changed
//	                                   │ nothing for 50 s (a node that never posted anything: 60 s); the server, asked again, says so too
//	                                   ▼
//	Ready, MemoryPressure, DiskPressure, PIDPressure = Unknown ──▶ its pods Ready=False
//	                                   │
//	conditions ──▶ taints: NoSchedule at once; NoExecute for Ready ≠ True, in each zone as fast as zones.go allows ──▶ package tainteviction
//
// What a node says itself is never contradicted: Unknown is only written over silence, and the agent's next word takes it back.
//
// Start reading at reconcile below, then plan.go (what is written), taints.go, zones.go (the limits), heard.go (the clock).
//
// Invariants: one worker, so that each plan sees the taints of the one before; nothing is polled: each node has a timer that ends when its
// grace does; what the limits depend on stands in the objects (timeAdded of the taints), so that a restart neither hurries nor delays anything.
//
// Real Kubernetes' node-lifecycle-controller looks at all nodes every five seconds and keeps token buckets per zone in memory. It follows
// Concepts → Nodes (heartbeats, node controller, rate limits on eviction), KEP-589 (heartbeats by Lease), KEP-382 (taint nodes by condition)
// and KEP-166 (taint based evictions); the numbers are kube-controller-manager's defaults.
package nodelifecycle

import (
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/internal/api"
	"optimist/internal/informer"
	"optimist/internal/reconcile"
)

// Name is the controller's name: it writes as system:controller:nodelifecycle.
const Name = "nodelifecycle"

const (
	onNode = "node" // indexes Pods by the node that they are bound to
	lost   = "lost" // indexes Nodes by "yes" if they are known not to be ready
	yes    = "yes"  //
	leases = corev1.NamespaceNodeLease
)

type controller struct {
	reconcile.Deps
	nodes informer.Reader[*corev1.Node]
	pods  informer.Reader[*corev1.Pod]
	heard heard
}

// New declares the controller.
func New(d reconcile.Deps) reconcile.Controller {
	c := &controller{Deps: d, heard: heard{nodes: map[string]sign{}},
		nodes: informer.Watch(d.Set, api.Nodes, informer.Options[*corev1.Node]{Index: map[string]func(*corev1.Node) []string{lost: isLost}}),
		pods: informer.Watch(d.Set, api.Pods, informer.Options[*corev1.Pod]{Index: map[string]func(*corev1.Pod) []string{
			onNode: func(p *corev1.Pod) []string { return []string{p.Spec.NodeName} }}}),
	}
	informer.Watch(d.Set, api.Of[api.Object]{Kind: api.LeaseKind}, informer.Options[api.Object]{Trim: informer.Metadata}) // that it changed is all we ask
	return reconcile.Controller{
		Name:    Name,
		For:     api.NodeKind,
		Watches: []reconcile.Watch{{Kind: api.NodeKind, Map: c.nodeChanged}, {Kind: api.LeaseKind, Map: c.leaseChanged}},
		Writes: []reconcile.Grant{
			{Kind: api.NodeKind, Verbs: []api.Verb{api.VerbPatch}},
			{Kind: api.NodeKind, Sub: "status", Verbs: []api.Verb{api.VerbPatch}},
			{Kind: api.PodKind, Sub: "status", Verbs: []api.Verb{api.VerbPatch}},
			{Kind: api.LeaseKind, Verbs: []api.Verb{api.VerbGet}},
		},
		Reconcile: c.reconcile,
	}
}

func (c *controller) reconcile(ctx context.Context, key api.Key) (time.Duration, error) {
	n, ok := c.nodes.Get(key)
	if !ok {
		return 0, nil
	}
	v := view{node: n, heard: c.heard.at(n.Name)}
	if v.silent(time.Now()) && len(v.unspoken()) > 0 {
		if err := c.ask(ctx, n.Name); err != nil {
			return 0, err
		}
		v.heard = c.heard.at(n.Name)
	}
	if len(isLost(n)) > 0 {
		v.nodes, v.pods = slices.Collect(c.nodes.List("", nil)), c.pods.Indexed(onNode, n.Name)
	}
	steps, again := plan(v, time.Now())
	return again, reconcile.Act(ctx, c.Deps, n, steps)
}

// ask reads the Lease past the cache before the node is called silent: it may be us who have not heard anything, because we were paused. While the
// API server cannot be asked, nodes cannot reach it either; then the time begins anew.
func (c *controller) ask(ctx context.Context, name string) error {
	lease, err := api.Leases.Get(ctx, c.Service, api.Key{Namespace: leases, Name: name})
	switch {
	case err == nil:
		c.heard.lease(name, lease.ResourceVersion)
	case apierrors.IsNotFound(err):
		return nil
	case ctx.Err() == nil:
		c.heard.restart(name)
	}
	return err
}

// nodeChanged listens for signs of life. When a node becomes ready, ceases to be, or goes, the limits for all that are not ready may be others.
func (c *controller) nodeChanged(before, after api.Object) []api.Key {
	old, _ := before.(*corev1.Node)
	n, _ := after.(*corev1.Node)
	if n == nil || old != nil && old.UID != n.UID {
		c.heard.forget(before.GetName())
	}
	if n != nil {
		c.heard.status(n.Name, readiness(n).LastHeartbeatTime.Time)
	}
	if n != nil && isReady(old) == isReady(n) {
		return nil
	}
	var keys []api.Key
	for _, other := range c.nodes.Indexed(lost, yes) {
		keys = append(keys, api.KeyOf(other))
	}
	return keys
}

// leaseChanged listens, and wakes nobody: a node's timer sees how long it really was silent.
func (c *controller) leaseChanged(before, after api.Object) []api.Key {
	switch {
	case after != nil && after.GetNamespace() == leases:
		c.heard.lease(after.GetName(), after.GetResourceVersion())
	case after == nil && before.GetNamespace() == leases:
		if _, exists := c.nodes.Get(api.Key{Name: before.GetName()}); !exists {
			c.heard.forget(before.GetName())
		}
	}
	return nil
}

func isReady(n *corev1.Node) bool { return n != nil && readiness(n).Status == corev1.ConditionTrue }

func isLost(n *corev1.Node) []string {
	if s := readiness(n).Status; s == "" || s == corev1.ConditionTrue {
		return nil
	}
	return []string{yes}
}
