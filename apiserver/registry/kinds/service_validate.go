package kinds

import (
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var serviceChecks = []rule{
	fields[corev1.ServiceSpec]("type", oneOf(corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeExternalName)),
	fields[corev1.ServiceSpec]("selector", labelSet),
	fields[corev1.ServiceSpec]("externalIPs", every(ip), every(some(reachable))),
	fields[corev1.ServiceSpec]("sessionAffinity", oneOf(corev1.ServiceAffinityClientIP, corev1.ServiceAffinityNone)),
	fields[corev1.ServiceSpec]("ipFamilyPolicy", oneOf(corev1.IPFamilyPolicySingleStack, corev1.IPFamilyPolicyPreferDualStack, corev1.IPFamilyPolicyRequireDualStack)),
	fields[corev1.ServiceSpec]("internalTrafficPolicy", oneOf(corev1.ServiceInternalTrafficPolicyCluster, corev1.ServiceInternalTrafficPolicyLocal)),
	fields[corev1.ServiceSpec]("externalTrafficPolicy", optional(oneOf(corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal))),
	fields[corev1.ServiceSpec]("trafficDistribution", oneOf(corev1.ServiceTrafficDistributionPreferClose, corev1.ServiceTrafficDistributionPreferSameZone, corev1.ServiceTrafficDistributionPreferSameNode)),
	fields[corev1.ServiceSpec]("loadBalancerClass", qualified),
	fields[corev1.ServiceSpec]("loadBalancerSourceRanges", every(cidr)),
	fields[corev1.ServiceSpec]("ports", distinct("name", func(p corev1.ServicePort) string { return p.Name })),
	fields[corev1.ServiceSpec]("ports", distinct("", func(p corev1.ServicePort) corev1.ServicePort {
		return corev1.ServicePort{Protocol: p.Protocol, Port: p.Port}
	})),
	each(serviceFits),
	each(clusterIPsFit),
	fields[corev1.ServicePort]("name", optional(label)),
	fields[corev1.ServicePort]("port", port),
	fields[corev1.ServicePort]("targetPort", portRef),
	fields[corev1.ServicePort]("protocol", protocol),
	fields[corev1.ServicePort]("appProtocol", qualified),
	fields[corev1.ClientIPConfig]("timeoutSeconds", between(1, 24*60*60, "must be greater than 0 and less than 86400")),
}

// serviceFits checks what belongs together in a Service: its type, and fields that only some types have.
func serviceFits(_ *field.Path, svc *corev1.Service) (faults field.ErrorList) {
	s, at := &svc.Spec, field.NewPath("spec").Child
	balanced, external, outside := s.Type == corev1.ServiceTypeLoadBalancer, s.Type == corev1.ServiceTypeExternalName, reachableFromOutside(s)
	sticky, config := s.SessionAffinity == corev1.ServiceAffinityClientIP, s.SessionAffinityConfig
	const onlyBalanced = "may only be used when `type` is 'LoadBalancer'"
	faults = slices.Concat(
		when(isHeadless(s) && (balanced || s.Type == corev1.ServiceTypeNodePort), field.Invalid(at("clusterIPs").Index(0), s.ClusterIP, "may not be set to 'None' for "+string(s.Type)+" services")),
		when(external && len(s.ClusterIPs) > 0, field.Forbidden(at("clusterIPs"), "may not be set for ExternalName services")),
		when(external && s.ExternalName == "", field.Required(at("externalName"), "")),
		when(len(s.Ports) == 0 && !isHeadless(s) && !external, field.Required(at("ports"), "")),
		when(!sticky && config != nil, field.Forbidden(at("sessionAffinityConfig"), "must not be set when session affinity is None")),
		when(sticky && deref(config).ClientIP == nil, field.Required(at("sessionAffinityConfig"), "when session affinity type is ClientIP")),
		when(outside && s.ExternalTrafficPolicy == "", field.Required(at("externalTrafficPolicy"), "")),
		when(!outside && s.ExternalTrafficPolicy != "", field.Invalid(at("externalTrafficPolicy"), s.ExternalTrafficPolicy, "may only be set for externally-accessible services")),
		when(s.HealthCheckNodePort != 0 && !needsHealthPort(svc), field.Invalid(at("healthCheckNodePort"), s.HealthCheckNodePort, "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'")),
		when(!balanced && s.AllocateLoadBalancerNodePorts != nil, field.Forbidden(at("allocateLoadBalancerNodePorts"), onlyBalanced)),
		when(!balanced && s.LoadBalancerClass != nil, field.Forbidden(at("loadBalancerClass"), onlyBalanced)),
		when(!balanced && len(s.LoadBalancerSourceRanges) > 0, field.Forbidden(at("loadBalancerSourceRanges"), onlyBalanced)),
	)
	if name := strings.TrimSuffix(s.ExternalName, "."); external && name != "" {
		faults = append(faults, subdomain(at("externalName"), reflect.ValueOf(name))...)
	}
	type use struct {
		protocol corev1.Protocol
		number   int32
	}
	onNodes := map[use]bool{}
	for i, p := range s.Ports {
		at, on := at("ports").Index(i), use{p.Protocol, p.NodePort}
		faults = append(faults, when(p.Name == "" && len(s.Ports) > 1, field.Required(at.Child("name"), ""))...) // endpoints match ports by name
		faults = append(faults, when(p.NodePort != 0 && s.Type == corev1.ServiceTypeClusterIP, field.Forbidden(at.Child("nodePort"), "may not be used when `type` is 'ClusterIP'"))...)
		faults = append(faults, when(p.NodePort != 0 && onNodes[on], field.Duplicate(at.Child("nodePort"), p.NodePort))...)
		onNodes[on] = true
	}
	return faults
}

// clusterIPsFit: IPv6 is refused by name rather than stored and not acted on, since clients would wait for an address for ever.
func clusterIPsFit(at *field.Path, s *corev1.ServiceSpec) (faults field.ErrorList) {
	ips := at.Child("clusterIPs")
	if s.Type != corev1.ServiceTypeExternalName && len(s.ClusterIPs) > 0 {
		faults = append(when(s.ClusterIPs[0] != s.ClusterIP, field.Invalid(ips, s.ClusterIPs, "first value must match `clusterIP`")),
			when(len(s.ClusterIPs) > 1, field.Invalid(ips, s.ClusterIPs, "may only hold one value: this cluster has only IPv4 addresses"))...)
		for i, address := range s.ClusterIPs {
			if strings.Contains(address, ":") {
				faults = append(faults, field.Invalid(ips.Index(i), address, "this cluster has only IPv4 addresses"))
			} else if address != corev1.ClusterIPNone {
				faults = append(faults, ip(ips.Index(i), reflect.ValueOf(address))...)
			}
		}
	}
	for i, f := range s.IPFamilies {
		p := at.Child("ipFamilies").Index(i)
		if f == corev1.IPv6Protocol {
			faults = append(faults, field.Invalid(p, f, "not configured on this cluster"))
		} else {
			faults = append(faults, oneOf(corev1.IPv4Protocol)(p, reflect.ValueOf(f))...)
		}
	}
	return append(faults, when(deref(s.IPFamilyPolicy) == corev1.IPFamilyPolicyRequireDualStack,
		field.Invalid(at.Child("ipFamilyPolicy"), s.IPFamilyPolicy, "this cluster is not configured for dual-stack services"))...)
}

// reachable refuses addresses that mean something else on every machine.
func reachable(at *field.Path, address string) field.ErrorList {
	ip, _ := netip.ParseAddr(address)
	for why, so := range map[string]bool{
		"unspecified (" + strconv.Quote(address) + ")":                ip.IsUnspecified(),
		"in the loopback range (127.0.0.0/8, ::1/128)":                ip.IsLoopback(),
		"in the link-local range (169.254.0.0/16, fe80::/10)":         ip.IsLinkLocalUnicast(),
		"in the link-local multicast range (224.0.0.0/24, ff02::/10)": ip.IsLinkLocalMulticast(),
	} {
		if so {
			return field.ErrorList{field.Invalid(at, address, "may not be "+why)}
		}
	}
	return nil
}

// clusterIPStays: clients remember addresses. Only by becoming an ExternalName does a Service lose its own.
func clusterIPStays(sub string, now, old *corev1.Service) field.ErrorList {
	at := field.NewPath("spec", "clusterIPs").Index(0)
	if sub != "" || !needsClusterIP(now) || !needsClusterIP(old) || old.Spec.ClusterIP == "" || now.Spec.ClusterIP == old.Spec.ClusterIP {
		return nil
	}
	if now.Spec.ClusterIP == "" {
		return field.ErrorList{field.Invalid(at, now.Spec.ClusterIPs, "primary clusterIP can not be unset")}
	}
	return field.ErrorList{field.Invalid(at, now.Spec.ClusterIPs, "may not change once set")}
}
