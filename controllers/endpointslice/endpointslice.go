// Package endpointslice writes down who serves each Service, from its selector and the pods there are.
//
//	Service web, port http → "http"       pods app=web                        EndpointSlices of web, at most 100 endpoints each
//	                                       a  10.244.0.2  http=8080  ready     ┌ ports http=8080: a ready, b not ready
//	                                       b  10.244.1.2  http=8080            └ ports http=9090: c terminating, still serving
//	                                       c  10.244.1.3  http=9090  ending    and one Endpoints "web", for clients that know no slices
//
// A key is a Service's name, which its Endpoints share. Endpoints that people write for a Service without a selector are mirrored into slices.
//
// Start reading at reconcile below, then plan.go (who serves) and spread.go (in which slice).
//
// Invariants: a slice's ports hold for all of its endpoints. Few slices change: an endpoint stays in its slice, new ones join a slice that has to be
// written anyhow. A slice's name follows from its owner's uid and a number that no slice has.
//
// Real Kubernetes has three controllers for this (endpoints, endpointslice, endpointslicemirroring), generates the slices' names, and notes when
// the change was triggered; its Endpoints have no owner but are deleted by hand. (KEP-752; terminating endpoints: KEP-1672.)
package endpointslice

import (
	"cmp"
	"context"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"

	"optimist/internal/api"
	"optimist/internal/informer"
	"optimist/internal/reconcile"
)

// Name is the controller's name: it writes as system:controller:endpointslice.
const Name = "endpointslice"

const onNode = "node" // indexes Pods by the node that they are bound to

type controller struct {
	reconcile.Deps
	services  informer.Reader[*corev1.Service]
	pods      informer.Reader[*corev1.Pod]
	nodes     informer.Reader[*corev1.Node]
	slices    informer.Reader[*discoveryv1.EndpointSlice]
	endpoints informer.Reader[*corev1.Endpoints]
}

// New declares the controller.
func New(d reconcile.Deps) reconcile.Controller {
	c := &controller{Deps: d,
		services: informer.Watch(d.Set, api.Services, informer.Options[*corev1.Service]{}),
		pods: informer.Watch(d.Set, api.Pods, informer.Options[*corev1.Pod]{Index: map[string]func(*corev1.Pod) []string{
			onNode: func(p *corev1.Pod) []string { return []string{p.Spec.NodeName} }}}),
		nodes:     informer.Watch(d.Set, api.Nodes, informer.Options[*corev1.Node]{}),
		slices:    informer.Watch(d.Set, api.EndpointSlices, informer.Options[*discoveryv1.EndpointSlice]{}),
		endpoints: informer.Watch(d.Set, api.Endpoints, informer.Options[*corev1.Endpoints]{}),
	}
	return reconcile.Controller{
		Name: Name,
		For:  api.ServiceKind,
		Owns: []*api.Kind{api.EndpointSliceKind},
		Watches: []reconcile.Watch{
			{Kind: api.PodKind, Map: c.podChanged},
			{Kind: api.NodeKind, Map: c.nodeChanged},
			{Kind: api.EndpointsKind, Map: reconcile.ToItself},
			{Kind: api.EndpointSliceKind, Map: reconcile.ToControllers(api.EndpointsKind)},
		},
		Writes: []reconcile.Grant{
			{Kind: api.EndpointSliceKind, Verbs: []api.Verb{api.VerbCreate, api.VerbUpdate, api.VerbDelete}},
			{Kind: api.EndpointsKind, Verbs: []api.Verb{api.VerbCreate, api.VerbUpdate}},
		},
		Reconcile: c.reconcile,
		Workers:   4,
	}
}

func (c *controller) reconcile(ctx context.Context, key api.Key) (time.Duration, error) {
	s, ok := c.services.Get(key)
	v, told := view{service: s}, false
	if v.endpoints, told = c.endpoints.Get(key); told {
		v.mirrors = c.slices.OwnedBy(v.endpoints.UID)
	}
	v.taken = func(name string) bool {
		_, ok := c.slices.Get(api.Key{Namespace: key.Namespace, Name: name})
		return ok
	}
	v.node = func(name string) *corev1.Node { n, _ := c.nodes.Get(api.Key{Name: name}); return n }
	switch {
	case ok && (s.DeletionTimestamp != nil || s.Spec.Type == corev1.ServiceTypeExternalName):
	case ok && len(s.Spec.Selector) > 0:
		v.slices = c.slices.OwnedBy(s.UID)
		v.pods = slices.Collect(c.pods.List(key.Namespace, labels.SelectorFromSet(s.Spec.Selector)))
		return 0, reconcile.Act(ctx, c.Deps, s, plan(v))
	case told:
		return 0, reconcile.Act(ctx, c.Deps, v.endpoints, mirror(v))
	}
	return 0, nil
}

// podChanged leads to the Services that select a pod, or did.
func (c *controller) podChanged(before, after api.Object) (keys []api.Key) {
	for s := range c.services.List(cmp.Or(after, before).GetNamespace(), nil) {
		selects := labels.SelectorFromSet(s.Spec.Selector)
		is := func(o api.Object) bool { return o != nil && selects.Matches(labels.Set(o.GetLabels())) }
		if len(s.Spec.Selector) > 0 && (is(before) || is(after)) {
			keys = append(keys, api.KeyOf(s))
		}
	}
	return keys
}

// nodeChanged leads to the Services with pods on a node that comes, goes or moves to another zone.
func (c *controller) nodeChanged(before, after api.Object) (keys []api.Key) {
	if before != nil && after != nil && before.GetLabels()[corev1.LabelTopologyZone] == after.GetLabels()[corev1.LabelTopologyZone] {
		return nil
	}
	for _, p := range c.pods.Indexed(onNode, cmp.Or(after, before).GetName()) {
		keys = append(keys, c.podChanged(nil, p)...)
	}
	return keys
}
