package kinds

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

func serviceRules() registry.Rules {
	r := stored(api.ServiceKind, clusterIPStays,
		shown[*corev1.Service]("Type", "spec.type", "", "How the service is reached."),
		shown[*corev1.Service]("Cluster-IP", "spec.clusterIP", none, "The address inside the cluster."),
		column("External-IP", "string", "The addresses outside the cluster.", externalAddresses),
		column("Port(s)", "string", "The ports, and after a colon those on every node.", servicePorts),
		registry.AgeColumn,
		wide(column("Selector", "string", "Which pods serve it.", func(s *corev1.Service) any { return labels.FormatLabels(s.Spec.Selector) }))[0])
	r.Name, r.Prepare, r.Claims, r.Fields = apivalidation.NameIsDNSLabel, prepareService, claimService, selectable[*corev1.Service]("spec.clusterIP spec.type")
	return r
}

// What a Service of some type has.
func needsClusterIP(s *corev1.Service) bool { return s.Spec.Type != corev1.ServiceTypeExternalName }

func needsNodePorts(s *corev1.Service) bool {
	asked := s.Spec.AllocateLoadBalancerNodePorts == nil || *s.Spec.AllocateLoadBalancerNodePorts
	return s.Spec.Type == corev1.ServiceTypeNodePort || s.Spec.Type == corev1.ServiceTypeLoadBalancer && asked
}

func needsHealthPort(s *corev1.Service) bool {
	return s.Spec.Type == corev1.ServiceTypeLoadBalancer && s.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal
}

// reachableFromOutside: whether it matters how traffic from outside is spread.
func reachableFromOutside(s *corev1.ServiceSpec) bool {
	return s.Type == corev1.ServiceTypeLoadBalancer || s.Type == corev1.ServiceTypeNodePort ||
		s.Type == corev1.ServiceTypeClusterIP && len(s.ExternalIPs) > 0
}

func isHeadless(s *corev1.ServiceSpec) bool { return s.ClusterIP == corev1.ClusterIPNone }

func defaultService(s *corev1.ServiceSpec) {
	fill(&s.SessionAffinity, corev1.ServiceAffinityNone)
	switch s.SessionAffinity {
	case corev1.ServiceAffinityNone:
		s.SessionAffinityConfig = nil
	case corev1.ServiceAffinityClientIP:
		fillPtr(&s.SessionAffinityConfig, corev1.SessionAffinityConfig{})
		fillPtr(&s.SessionAffinityConfig.ClientIP, corev1.ClientIPConfig{})
		fillPtr(&s.SessionAffinityConfig.ClientIP.TimeoutSeconds, corev1.DefaultClientIPServiceAffinitySeconds)
	}
	fill(&s.Type, corev1.ServiceTypeClusterIP)
	for i := range s.Ports {
		fill(&s.Ports[i].Protocol, corev1.ProtocolTCP)
		if target := &s.Ports[i].TargetPort; *target == (intstr.IntOrString{}) || *target == intstr.FromString("") {
			*target = intstr.FromInt32(s.Ports[i].Port)
		}
	}
	if reachableFromOutside(s) {
		fill(&s.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster)
	}
	if s.Type != corev1.ServiceTypeExternalName {
		fillPtr(&s.InternalTrafficPolicy, corev1.ServiceInternalTrafficPolicyCluster)
	}
	if s.Type == corev1.ServiceTypeLoadBalancer {
		fillPtr(&s.AllocateLoadBalancerNodePorts, true)
	}
}

// prepareService carries over what was allocated and is not named again, so that a manifest can be replaced as it was first written, and
// drops what a changed type no longer has.
func prepareService(_ context.Context, _ string, o, old api.Object) {
	s := o.(*corev1.Service)
	before, update := old.(*corev1.Service)
	if update {
		if s.Spec.ClusterIP != before.Spec.ClusterIP && slices.Equal(s.Spec.ClusterIPs, before.Spec.ClusterIPs) {
			s.Spec.ClusterIPs = nil // who knows only the older form of clusterIPs[0] changes both
		}
		keepAllocated(s, before)
		dropUnneeded(s, before)
	} else {
		s.Status = corev1.ServiceStatus{}
	}
	if s.Spec.ClusterIP != "" && len(s.Spec.ClusterIPs) == 0 {
		s.Spec.ClusterIPs = []string{s.Spec.ClusterIP}
	}
	if needsClusterIP(s) {
		fillPtr(&s.Spec.IPFamilyPolicy, corev1.IPFamilyPolicySingleStack)
		if len(s.Spec.IPFamilies) == 0 {
			s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv4Protocol}
		}
	}
}

func keepAllocated(s, old *corev1.Service) {
	if needsClusterIP(s) && needsClusterIP(old) && s.Spec.ClusterIP == "" && len(s.Spec.ClusterIPs) == 0 {
		s.Spec.ClusterIP, s.Spec.ClusterIPs = old.Spec.ClusterIP, slices.Clone(old.Spec.ClusterIPs)
	}
	for i := range s.Spec.Ports {
		for _, before := range old.Spec.Ports {
			p := &s.Spec.Ports[i]
			same := before.Port == p.Port && before.Protocol == p.Protocol
			if needsNodePorts(s) && needsNodePorts(old) && p.NodePort == 0 && same && !usesNodePort(s, before.NodePort, p.Protocol) {
				p.NodePort = before.NodePort
			}
		}
	}
	if needsHealthPort(s) && needsHealthPort(old) {
		fill(&s.Spec.HealthCheckNodePort, old.Spec.HealthCheckNodePort)
	}
}

// dropUnneeded clears what only the old type had, unless the author has changed it and so means it.
func dropUnneeded(s, old *corev1.Service) {
	now, before := &s.Spec, &old.Spec
	if needsClusterIP(old) && !needsClusterIP(s) && slices.Equal(now.ClusterIPs, before.ClusterIPs) {
		now.ClusterIP, now.ClusterIPs, now.IPFamilies, now.IPFamilyPolicy = "", nil, nil, nil
	}
	if needsNodePorts(old) && !needsNodePorts(s) && slices.EqualFunc(now.Ports, before.Ports, func(a, b corev1.ServicePort) bool { return a.NodePort == b.NodePort }) {
		for i := range now.Ports {
			now.Ports[i].NodePort = 0
		}
	}
	if needsHealthPort(old) && !needsHealthPort(s) && now.HealthCheckNodePort == before.HealthCheckNodePort {
		now.HealthCheckNodePort = 0
	}
	if reachableFromOutside(before) && !reachableFromOutside(now) && now.ExternalTrafficPolicy == before.ExternalTrafficPolicy {
		now.ExternalTrafficPolicy = ""
	}
	if before.Type == corev1.ServiceTypeLoadBalancer && now.Type != before.Type {
		now.AllocateLoadBalancerNodePorts, now.LoadBalancerClass = nil, nil
	}
	if now.Type == corev1.ServiceTypeExternalName && before.Type != now.Type {
		now.InternalTrafficPolicy = nil
	}
}

func externalAddresses(s *corev1.Service) any {
	switch s.Spec.Type {
	case corev1.ServiceTypeExternalName:
		return s.Spec.ExternalName
	case corev1.ServiceTypeLoadBalancer:
		all := texts(s.Status.LoadBalancer.Ingress, func(in corev1.LoadBalancerIngress) string { return orElse(in.IP, in.Hostname) })
		return orElse(strings.Join(append(all, s.Spec.ExternalIPs...), ","), "<pending>")
	}
	return orElse(strings.Join(s.Spec.ExternalIPs, ","), none)
}

func servicePorts(s *corev1.Service) any {
	return orElse(strings.Join(texts(s.Spec.Ports, func(p corev1.ServicePort) string {
		if p.NodePort > 0 {
			return fmt.Sprintf("%d:%d/%s", p.Port, p.NodePort, p.Protocol)
		}
		return fmt.Sprintf("%d/%s", p.Port, p.Protocol)
	}), ","), none)
}
