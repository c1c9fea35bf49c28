package kinds

import (
	"net/netip"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var serviceTypes = []corev1.ServiceType{corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort, corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeExternalName}

const maxClientIPSeconds = 24 * 60 * 60

func validateService(sub string, svc, old *corev1.Service) (faults field.ErrorList) {
	s, p := &svc.Spec, field.NewPath("spec")
	if sub == "status" {
		return nil
	}
	faults = oneOf(p.Child("type"), s.Type, serviceTypes...)
	faults = append(faults, validateByType(s, p)...)
	faults = append(faults, validateServicePorts(s, p.Child("ports"))...)
	faults = append(faults, metavalidation.ValidateLabels(s.Selector, p.Child("selector"))...)
	faults = append(faults, validateAffinityOfClients(s, p)...)
	faults = append(faults, validateClusterIPs(svc, p)...)
	faults = append(faults, validateFamilies(s, p)...)
	faults = append(faults, validateTraffic(svc, p)...)
	faults = append(faults, validateLoadBalancer(s, p)...)
	for i, ip := range s.ExternalIPs {
		faults = append(faults, validateIP(p.Child("externalIPs").Index(i), ip)...)
		faults = append(faults, validateReachable(ip, p.Child("externalIPs").Index(i))...)
	}
	if old != nil {
		faults = append(faults, clusterIPStays(svc, old, p.Child("clusterIPs").Index(0))...)
	}
	return faults
}

func validateByType(s *corev1.ServiceSpec, p *field.Path) (faults field.ErrorList) {
	switch s.Type {
	case corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeNodePort:
		if isHeadless(s) {
			faults = append(faults, field.Invalid(p.Child("clusterIPs").Index(0), s.ClusterIP, "may not be set to 'None' for "+string(s.Type)+" services"))
		}
	case corev1.ServiceTypeExternalName:
		if len(s.ClusterIPs) > 0 {
			faults = append(faults, field.Forbidden(p.Child("clusterIPs"), "may not be set for ExternalName services"))
		}
		if name := strings.TrimSuffix(s.ExternalName, "."); name == "" {
			faults = append(faults, field.Required(p.Child("externalName"), ""))
		} else {
			faults = append(faults, invalid(p.Child("externalName"), name, validation.IsDNS1123Subdomain(name))...)
		}
	}
	return faults
}

func validateServicePorts(s *corev1.ServiceSpec, p *field.Path) (faults field.ErrorList) {
	if len(s.Ports) == 0 && !isHeadless(s) && s.Type != corev1.ServiceTypeExternalName {
		faults = append(faults, field.Required(p, ""))
	}
	type use struct {
		protocol corev1.Protocol
		number   int32
	}
	names, numbers, onNodes := map[string]bool{}, map[use]bool{}, map[use]bool{}
	for i, sp := range s.Ports {
		at := p.Index(i)
		faults = append(faults, validateServicePort(sp, s, names, at)...)
		if node := (use{sp.Protocol, sp.NodePort}); sp.NodePort != 0 && onNodes[node] {
			faults = append(faults, field.Duplicate(at.Child("nodePort"), sp.NodePort))
		} else {
			onNodes[node] = true
		}
		if number := (use{sp.Protocol, sp.Port}); numbers[number] {
			faults = append(faults, field.Duplicate(at, corev1.ServicePort{Protocol: sp.Protocol, Port: sp.Port}))
		} else {
			numbers[number] = true
		}
	}
	return faults
}

// validateServicePort: several ports must have names, by which endpoints match them.
func validateServicePort(sp corev1.ServicePort, s *corev1.ServiceSpec, names map[string]bool, p *field.Path) (faults field.ErrorList) {
	name := p.Child("name")
	switch {
	case sp.Name == "" && len(s.Ports) > 1:
		faults = append(faults, field.Required(name, ""))
	case sp.Name != "":
		faults = append(faults, label(name, sp.Name)...)
		if names[sp.Name] {
			faults = append(faults, field.Duplicate(name, sp.Name))
		}
		names[sp.Name] = true
	}
	faults = append(faults, port(p.Child("port"), int(sp.Port))...)
	faults = append(faults, oneOf(p.Child("protocol"), sp.Protocol, protocols...)...)
	faults = append(faults, portRef(sp.TargetPort, p.Child("targetPort"))...)
	if sp.AppProtocol != nil {
		faults = append(faults, invalid(p.Child("appProtocol"), *sp.AppProtocol, validation.IsQualifiedName(*sp.AppProtocol))...)
	}
	if sp.NodePort != 0 && s.Type == corev1.ServiceTypeClusterIP {
		faults = append(faults, field.Forbidden(p.Child("nodePort"), "may not be used when `type` is 'ClusterIP'"))
	}
	return faults
}

func validateAffinityOfClients(s *corev1.ServiceSpec, p *field.Path) field.ErrorList {
	faults := oneOf(p.Child("sessionAffinity"), s.SessionAffinity, corev1.ServiceAffinityClientIP, corev1.ServiceAffinityNone)
	config := p.Child("sessionAffinityConfig")
	switch c := s.SessionAffinityConfig; {
	case s.SessionAffinity == corev1.ServiceAffinityNone && c != nil:
		faults = append(faults, field.Forbidden(config, "must not be set when session affinity is None"))
	case s.SessionAffinity != corev1.ServiceAffinityClientIP:
	case c == nil || c.ClientIP == nil || c.ClientIP.TimeoutSeconds == nil:
		faults = append(faults, field.Required(config, "when session affinity type is ClientIP"))
	case *c.ClientIP.TimeoutSeconds <= 0 || *c.ClientIP.TimeoutSeconds > maxClientIPSeconds:
		faults = append(faults, field.Invalid(config.Child("clientIP", "timeoutSeconds"), *c.ClientIP.TimeoutSeconds, "must be greater than 0 and less than 86400"))
	}
	return faults
}

func validateClusterIPs(svc *corev1.Service, p *field.Path) (faults field.ErrorList) {
	s, at := &svc.Spec, p.Child("clusterIPs")
	if !needsClusterIP(svc) || len(s.ClusterIPs) == 0 {
		return nil
	}
	if s.ClusterIPs[0] != s.ClusterIP {
		faults = append(faults, field.Invalid(at, s.ClusterIPs, "first value must match `clusterIP`"))
	}
	if len(s.ClusterIPs) > 1 {
		faults = append(faults, field.Invalid(at, s.ClusterIPs, "may only hold one value: this cluster has only IPv4 addresses"))
	}
	for i, ip := range s.ClusterIPs {
		switch {
		case ip == corev1.ClusterIPNone:
		case strings.Contains(ip, ":"):
			faults = append(faults, field.Invalid(at.Index(i), ip, "this cluster has only IPv4 addresses"))
		default:
			faults = append(faults, validateIP(at.Index(i), ip)...)
		}
	}
	return faults
}

// validateFamilies: IPv6 is refused by name rather than stored and not acted on, since clients would wait for an address for ever.
func validateFamilies(s *corev1.ServiceSpec, p *field.Path) (faults field.ErrorList) {
	at := p.Child("ipFamilies")
	for i, f := range s.IPFamilies {
		switch f {
		case corev1.IPv4Protocol:
		case corev1.IPv6Protocol:
			faults = append(faults, field.Invalid(at.Index(i), f, "not configured on this cluster"))
		default:
			faults = append(faults, field.NotSupported(at.Index(i), f, []corev1.IPFamily{corev1.IPv4Protocol}))
		}
	}
	policy := p.Child("ipFamilyPolicy")
	faults = append(faults, optionalOneOf(policy, s.IPFamilyPolicy, corev1.IPFamilyPolicySingleStack, corev1.IPFamilyPolicyPreferDualStack, corev1.IPFamilyPolicyRequireDualStack)...)
	if deref(s.IPFamilyPolicy) == corev1.IPFamilyPolicyRequireDualStack {
		faults = append(faults, field.Invalid(policy, *s.IPFamilyPolicy, "this cluster is not configured for dual-stack services"))
	}
	return faults
}

func validateTraffic(svc *corev1.Service, p *field.Path) (faults field.ErrorList) {
	s, external := &svc.Spec, p.Child("externalTrafficPolicy")
	switch {
	case reachableFromOutside(s):
		faults = oneOf(external, s.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal)
	case s.ExternalTrafficPolicy != "":
		faults = append(faults, field.Invalid(external, s.ExternalTrafficPolicy, "may only be set for externally-accessible services"))
	}
	if s.HealthCheckNodePort != 0 && !needsHealthPort(svc) {
		faults = append(faults, field.Invalid(p.Child("healthCheckNodePort"), s.HealthCheckNodePort, "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'"))
	}
	faults = append(faults, optionalOneOf(p.Child("internalTrafficPolicy"), s.InternalTrafficPolicy, corev1.ServiceInternalTrafficPolicyCluster, corev1.ServiceInternalTrafficPolicyLocal)...)
	return append(faults, optionalOneOf(p.Child("trafficDistribution"), s.TrafficDistribution, corev1.ServiceTrafficDistributionPreferClose,
		corev1.ServiceTrafficDistributionPreferSameZone, corev1.ServiceTrafficDistributionPreferSameNode)...)
}

func validateLoadBalancer(s *corev1.ServiceSpec, p *field.Path) (faults field.ErrorList) {
	balanced := s.Type == corev1.ServiceTypeLoadBalancer
	if !balanced && s.AllocateLoadBalancerNodePorts != nil {
		faults = append(faults, field.Forbidden(p.Child("allocateLoadBalancerNodePorts"), "may only be used when `type` is 'LoadBalancer'"))
	}
	if !balanced && s.LoadBalancerClass != nil {
		faults = append(faults, field.Forbidden(p.Child("loadBalancerClass"), "may only be used when `type` is 'LoadBalancer'"))
	}
	if !balanced && len(s.LoadBalancerSourceRanges) > 0 {
		faults = append(faults, field.Forbidden(p.Child("loadBalancerSourceRanges"), "may only be used when `type` is 'LoadBalancer'"))
	}
	if balanced && s.LoadBalancerClass != nil {
		faults = append(faults, invalid(p.Child("loadBalancerClass"), *s.LoadBalancerClass, validation.IsQualifiedName(*s.LoadBalancerClass))...)
	}
	for i, cidr := range s.LoadBalancerSourceRanges {
		faults = append(faults, validation.IsValidCIDRForLegacyField(p.Child("loadBalancerSourceRanges").Index(i), strings.TrimSpace(cidr), true, nil)...)
	}
	return faults
}

// validateReachable refuses addresses that mean something else on every machine.
func validateReachable(address string, p *field.Path) field.ErrorList {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return nil
	}
	for _, special := range []struct {
		is   bool
		name string
	}{
		{ip.IsUnspecified(), "unspecified (" + strconv.Quote(address) + ")"}, {ip.IsLoopback(), "in the loopback range (127.0.0.0/8, ::1/128)"},
		{ip.IsLinkLocalUnicast(), "in the link-local range (169.254.0.0/16, fe80::/10)"}, {ip.IsLinkLocalMulticast(), "in the link-local multicast range (224.0.0.0/24, ff02::/10)"},
	} {
		if special.is {
			return field.ErrorList{field.Invalid(p, address, "may not be "+special.name)}
		}
	}
	return nil
}

// clusterIPStays: clients remember addresses. Only by becoming an ExternalName does a Service lose its own.
func clusterIPStays(now, old *corev1.Service, p *field.Path) field.ErrorList {
	if !needsClusterIP(now) || !needsClusterIP(old) || old.Spec.ClusterIP == "" {
		return nil
	}
	switch now.Spec.ClusterIP {
	case old.Spec.ClusterIP:
		return nil
	case "":
		return field.ErrorList{field.Invalid(p, now.Spec.ClusterIPs, "primary clusterIP can not be unset")}
	}
	return field.ErrorList{field.Invalid(p, now.Spec.ClusterIPs, "may not change once set")}
}
