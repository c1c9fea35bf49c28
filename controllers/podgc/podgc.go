// Package podgc removes pods that nobody else will ever remove, without waiting for an agent to confirm.
//
//	bound to a node that no longer exists       40 s later, if the server still knows no such node   Failed, DisruptionTarget
//	terminating, node is out-of-service         at once: a person vouches that the machine is off    Failed, DisruptionTarget
//	terminating, bound to no node               at once: no agent has it                             Failed
//	ended (Succeeded, Failed), above 12,500     the oldest, evicted ones first
//
// A key is the name of a node, or "" for what concerns no node.
//
// Start reading at reconcile below, then plan.go.
//
// Invariant: a pod is only forced away when no agent can be running it as far as anybody can know; the delete names its uid.
//
// Real Kubernetes' pod-garbage-collector looks at all pods every 20 seconds. (Concepts → Pod lifecycle → garbage collection of pods; out-of-service:
// KEP-2268; the condition: KEP-3329; --terminated-pod-gc-threshold.)
package podgc

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/internal/api"
	"optimist/internal/informer"
	"optimist/internal/reconcile"
)

// Name is the controller's name: it writes as system:controller:podgc.
const Name = "podgc"

const (
	onNode = "node"  // indexes Pods by the node that they are bound to
	over   = "ended" // indexes Pods by "yes" if they have ended
	yes    = "yes"
)

type controller struct {
	reconcile.Deps
	nodes informer.Reader[*corev1.Node]
	pods  informer.Reader[*corev1.Pod]

	mu      sync.Mutex
	missing map[string]time.Time // nodes that pods are bound to and that do not exist, and since when we know
}

// New declares the controller.
func New(d reconcile.Deps) reconcile.Controller {
	c := &controller{Deps: d, missing: map[string]time.Time{},
		nodes: informer.Watch(d.Set, api.Nodes, informer.Options[*corev1.Node]{}),
		pods: informer.Watch(d.Set, api.Pods, informer.Options[*corev1.Pod]{Index: map[string]func(*corev1.Pod) []string{
			onNode: func(p *corev1.Pod) []string { return []string{p.Spec.NodeName} },
			over: func(p *corev1.Pod) []string {
				if api.Ended(p) {
					return []string{yes}
				}
				return nil
			},
		}}),
	}
	return reconcile.Controller{
		Name:    Name,
		For:     api.NodeKind,
		Watches: []reconcile.Watch{{Kind: api.PodKind, Map: c.podChanged}},
		Writes: []reconcile.Grant{
			{Kind: api.PodKind, Verbs: []api.Verb{api.VerbDelete}},
			{Kind: api.PodKind, Sub: "status", Verbs: []api.Verb{api.VerbPatch}},
			{Kind: api.NodeKind, Verbs: []api.Verb{api.VerbGet}},
		},
		Reconcile: c.reconcile,
	}
}

func (c *controller) reconcile(ctx context.Context, key api.Key) (time.Duration, error) {
	v := view{pods: c.pods.Indexed(onNode, key.Name)}
	if key.Name == "" {
		v.ended = c.pods.Indexed(over, yes)
	} else if n, ok := c.nodes.Get(key); ok {
		v.node = n
	} else if len(v.pods) > 0 {
		if left := quarantine - time.Since(c.since(key.Name)); left > 0 {
			return left, nil
		}
		switch _, err := api.Nodes.Get(ctx, c.Service, key); {
		case err == nil:
			return 0, nil // the watch is about to tell
		case !apierrors.IsNotFound(err):
			return 0, err
		}
		v.absent = true
	}
	if !v.absent {
		c.found(key.Name)
	}
	for _, d := range plan(v, time.Now()) {
		if err := reconcile.Act(ctx, c.Deps, d.pod, d.steps); err != nil && !reconcile.Stale(err) {
			return 0, err
		}
	}
	return 0, nil
}

// since is when we first missed a node.
func (c *controller) since(node string) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.missing[node].IsZero() {
		c.missing[node] = time.Now()
	}
	return c.missing[node]
}

func (c *controller) found(node string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.missing, node)
}

// podChanged leads to a pod's node when the pod appears there or begins to end, and to "" when that concerns no node.
func (c *controller) podChanged(before, after api.Object) []api.Key {
	old, _ := before.(*corev1.Pod)
	p, _ := after.(*corev1.Pod)
	switch {
	case p == nil:
		return nil
	case api.Ended(p) && (old == nil || !api.Ended(old)):
		return []api.Key{{}, {Name: p.Spec.NodeName}}
	case old == nil || old.Spec.NodeName != p.Spec.NodeName || (old.DeletionTimestamp == nil) != (p.DeletionTimestamp == nil):
		return []api.Key{{Name: p.Spec.NodeName}}
	}
	return nil
}
