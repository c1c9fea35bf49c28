package endpointslice

import (
	"cmp"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"optimist/internal/api"
	"optimist/internal/reconcile"
)

const (
	labelManagedBy = "endpoints.kubernetes.io/managed-by"    // of Endpoints that we write
	overCapacity   = "endpoints.kubernetes.io/over-capacity" // an annotation of those that do not tell all
	maxAddresses   = 1000                                    // of an Endpoints
)

// view is what a plan is made from.
type view struct {
	service   *corev1.Service                // nil = gone
	pods      []*corev1.Pod                  // that its selector finds
	node      func(name string) *corev1.Node // nil = there is none
	slices    []*discoveryv1.EndpointSlice   // owned by the Service
	endpoints *corev1.Endpoints              // of the Service's name; nil = none
	mirrors   []*discoveryv1.EndpointSlice   // owned by the Endpoints
	taken     func(name string) bool         // whether any slice has a name
}

// group is endpoints that listen at the same ports.
type group struct {
	ports     []discoveryv1.EndpointPort
	endpoints []discoveryv1.Endpoint
	missing   map[string]discoveryv1.Endpoint // those that are in no slice yet, by identity
}

// plan is for a Service with a selector.
func plan(v view) []reconcile.Action {
	groups := serving(v)
	return slices.Concat(spread(v, v.service, "endpointslice-controller.k8s.io", v.slices, groups), classic(v, groups), drop(v.mirrors, "its service has a selector now"))
}

// serving groups the pods that serve a Service, as endpoints, by what its ports mean for them. One on a node that does not exist is left out,
// unless readiness does not matter: nobody answers for it.
func serving(v view) (all []group) {
	for _, p := range v.pods {
		n := v.node(p.Spec.NodeName)
		if p.Status.PodIP != "" && !api.Ended(p) && (n != nil || v.service.Spec.PublishNotReadyAddresses) {
			all = join(all, portsOf(v.service, p), endpoint(v.service, p, n))
		}
	}
	return all
}

// join adds an endpoint to the group with its ports.
func join(all []group, ports []discoveryv1.EndpointPort, e discoveryv1.Endpoint) []group {
	i := slices.IndexFunc(all, func(g group) bool { return equality.Semantic.DeepEqual(g.ports, ports) })
	if i < 0 {
		i, all = len(all), append(all, group{ports: ports, missing: map[string]discoveryv1.Endpoint{}})
	}
	all[i].endpoints = append(all[i].endpoints, e)
	all[i].missing[identity(e)] = e
	return all
}

func endpoint(s *corev1.Service, p *corev1.Pod, n *corev1.Node) discoveryv1.Endpoint {
	ending, serves := p.DeletionTimestamp != nil, api.PodReady(p)
	e := discoveryv1.Endpoint{Addresses: []string{p.Status.PodIP}, NodeName: new(p.Spec.NodeName),
		TargetRef:  &corev1.ObjectReference{Kind: "Pod", Namespace: p.Namespace, Name: p.Name, UID: p.UID},
		Conditions: discoveryv1.EndpointConditions{Ready: new(s.Spec.PublishNotReadyAddresses || serves && !ending), Serving: &serves, Terminating: &ending}}
	if p.Spec.Hostname != "" && p.Spec.Subdomain == s.Name {
		e.Hostname = new(p.Spec.Hostname)
	}
	if n != nil && n.Labels[corev1.LabelTopologyZone] != "" {
		e.Zone = new(n.Labels[corev1.LabelTopologyZone])
	}
	return e
}

// portsOf resolves a Service's ports for one pod; those of a name that the pod does not give are left out.
func portsOf(s *corev1.Service, p *corev1.Pod) (all []discoveryv1.EndpointPort) {
	for _, port := range s.Spec.Ports {
		number := port.TargetPort.IntVal
		if port.TargetPort.Type == intstr.String {
			number = portNamed(p, port.TargetPort.StrVal, port.Protocol)
		}
		if number != 0 {
			all = append(all, discoveryv1.EndpointPort{Name: &port.Name, Port: &number, Protocol: &port.Protocol, AppProtocol: port.AppProtocol})
		}
	}
	return all
}

// portNamed is the number to which a container, or a sidecar, gives a name; 0 = none does.
func portNamed(p *corev1.Pod, name string, protocol corev1.Protocol) int32 {
	for _, port := range api.Ports(p) {
		if port.Name == name && port.Protocol == protocol {
			return port.ContainerPort
		}
	}
	return 0
}

// classic plans the Service's Endpoints.
func classic(v view, groups []group) []reconcile.Action {
	s, next := v.service, &corev1.Endpoints{ObjectMeta: metav1.ObjectMeta{Namespace: v.service.Namespace, Name: v.service.Name}}
	if v.endpoints != nil {
		next = v.endpoints.DeepCopy()
	}
	next.OwnerReferences = []metav1.OwnerReference{reconcile.OwnerRef(s)}
	next.Labels, next.Subsets = labelled(s, s.Labels, labelManagedBy, "endpoint-controller"), nil
	delete(next.Annotations, overCapacity)
	left := maxAddresses
	for _, g := range groups {
		sub := subset(g)
		n := len(sub.Addresses) + len(sub.NotReadyAddresses)
		if n == 0 || len(g.ports) == 0 && len(s.Spec.Ports) > 0 {
			continue
		}
		if n > left {
			metav1.SetMetaDataAnnotation(&next.ObjectMeta, overCapacity, "truncated")
			sub.Addresses = sub.Addresses[:min(left, len(sub.Addresses))]
			sub.NotReadyAddresses = sub.NotReadyAddresses[:min(left-len(sub.Addresses), len(sub.NotReadyAddresses))]
		}
		if left > 0 {
			next.Subsets = append(next.Subsets, sub)
		}
		left = max(0, left-n)
	}
	switch {
	case v.endpoints == nil:
		return []reconcile.Action{reconcile.Create(api.EndpointsKind, next, "the service has none", nil)}
	case !equality.Semantic.DeepEqual(next, v.endpoints):
		return []reconcile.Action{reconcile.Update(api.EndpointsKind, "", next, "its pods have changed", nil)}
	}
	return nil
}

// subset is a group as Endpoints tell it. Pods that are ending are left out: who reads Endpoints could not tell them from others.
func subset(g group) (s corev1.EndpointSubset) {
	for _, p := range g.ports {
		s.Ports = append(s.Ports, corev1.EndpointPort{Name: *p.Name, Port: *p.Port, Protocol: *p.Protocol, AppProtocol: p.AppProtocol})
	}
	for _, e := range g.endpoints {
		a := corev1.EndpointAddress{IP: e.Addresses[0], NodeName: e.NodeName, TargetRef: e.TargetRef}
		if e.Hostname != nil {
			a.Hostname = *e.Hostname
		}
		if *e.Conditions.Ready {
			s.Addresses = append(s.Addresses, a)
		} else if !*e.Conditions.Terminating {
			s.NotReadyAddresses = append(s.NotReadyAddresses, a)
		}
	}
	for _, all := range [][]corev1.EndpointAddress{s.Addresses, s.NotReadyAddresses} {
		slices.SortFunc(all, func(a, b corev1.EndpointAddress) int { return cmp.Compare(a.IP, b.IP) })
	}
	return s
}

// mirror plans slices that say what somebody's Endpoints of a Service without a selector say.
func mirror(v view) []reconcile.Action {
	e := v.endpoints.DeepCopy()
	if v.service == nil || e.DeletionTimestamp != nil || e.Labels[discoveryv1.LabelSkipMirror] == "true" || e.Labels[labelManagedBy] != "" {
		return drop(v.mirrors, "its endpoints are not to be mirrored")
	}
	var groups []group
	for _, s := range e.Subsets {
		var ports []discoveryv1.EndpointPort
		for _, p := range s.Ports {
			ports = append(ports, discoveryv1.EndpointPort{Name: &p.Name, Port: &p.Port, Protocol: &p.Protocol, AppProtocol: p.AppProtocol})
		}
		for i, a := range slices.Concat(s.Addresses, s.NotReadyAddresses) {
			if strings.Contains(a.IP, ":") {
				continue // IPv6: nothing here could send to it
			}
			to := discoveryv1.Endpoint{Addresses: []string{a.IP}, NodeName: a.NodeName, TargetRef: a.TargetRef,
				Conditions: discoveryv1.EndpointConditions{Ready: new(i < len(s.Addresses))}}
			if a.Hostname != "" {
				to.Hostname = &a.Hostname
			}
			groups = join(groups, ports, to)
		}
	}
	return spread(v, v.endpoints, "endpointslicemirroring-controller.k8s.io", v.mirrors, groups)
}

// labelled are an owner's labels with ours, and with the mark of a headless Service.
func labelled(s *corev1.Service, theirs map[string]string, ours ...string) map[string]string {
	all := maps.Clone(theirs)
	if all == nil {
		all = map[string]string{}
	}
	delete(all, corev1.IsHeadlessService)
	if s.Spec.ClusterIP == corev1.ClusterIPNone {
		all[corev1.IsHeadlessService] = ""
	}
	for i := 0; i < len(ours); i += 2 {
		all[ours[i]] = ours[i+1]
	}
	return all
}
