package kinds

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

func ingressRules() registry.Rules {
	return stored[*networkingv1.Ingress](api.IngressKind, nil,
		shown[*networkingv1.Ingress]("Class", "spec.ingressClassName", none, "Whose it is."),
		column("Hosts", "string", "For which names it answers.", func(i *networkingv1.Ingress) any {
			var hosts []string
			for _, r := range i.Spec.Rules {
				if r.Host != "" {
					hosts = append(hosts, r.Host)
				}
			}
			return firstThree(hosts, "*")
		}),
		column("Address", "string", "Where it answers.", func(i *networkingv1.Ingress) any {
			all := texts(i.Status.LoadBalancer.Ingress, func(a networkingv1.IngressLoadBalancerIngress) string { return orElse(a.IP, a.Hostname) })
			slices.Sort(all)
			return strings.Join(all, ",")
		}),
		column("Ports", "string", "At which ports.", func(i *networkingv1.Ingress) any {
			return map[bool]string{true: "80, 443", false: "80"}[len(i.Spec.TLS) > 0]
		}), registry.AgeColumn)
}

func ingressClassRules() registry.Rules {
	r := stored(api.IngressClassKind, fixed[*networkingv1.IngressClass]("spec.controller"),
		shown[*networkingv1.IngressClass]("Controller", "spec.controller", "", "Who acts on Ingresses of the class."),
		column("Parameters", "string", "What else that one is told.", func(c *networkingv1.IngressClass) any {
			p := c.Spec.Parameters
			if p == nil {
				return none
			}
			return schema.GroupKind{Group: deref(p.APIGroup), Kind: p.Kind}.String() + "/" + p.Name
		}), registry.AgeColumn)
	r.Columns[0].Cell = func(o api.Object, _ time.Time) any {
		if o.GetAnnotations()[networkingv1.AnnotationIsDefaultIngressClass] == "true" {
			return o.GetName() + " (default)"
		}
		return o.GetName()
	}
	return r
}

func networkPolicyRules() registry.Rules {
	return stored[*networkingv1.NetworkPolicy](api.NetworkPolicyKind, nil,
		column("Pod-Selector", "string", "Whom it is about.", func(p *networkingv1.NetworkPolicy) any { return metav1.FormatLabelSelector(&p.Spec.PodSelector) }), registry.AgeColumn)
}

func ipAddressRules() registry.Rules {
	r := stored(api.IPAddressKind, fixed[*networkingv1.IPAddress]("spec.parentRef"),
		column("ParentRef", "string", "Whose address it is.", func(a *networkingv1.IPAddress) any {
			p := a.Spec.ParentRef
			if p == nil {
				return none
			}
			return strings.ToLower(schema.GroupResource{Group: p.Group, Resource: p.Resource}.String()) + "/" + api.Key{Namespace: p.Namespace, Name: p.Name}.String()
		}), registry.AgeColumn)
	r.Name = func(name string, _ bool) (faults []string) {
		for _, f := range validation.IsValidIP(field.NewPath("name"), name) {
			faults = append(faults, f.Detail)
		}
		return faults
	}
	return r
}

func serviceCIDRRules() registry.Rules {
	return stored(api.ServiceCIDRKind, func(sub string, c, old *networkingv1.ServiceCIDR) field.ErrorList {
		at, was, is := field.NewPath("spec", "cidrs"), old.Spec.CIDRs, c.Spec.CIDRs
		if sub != "" || len(is) < len(was) {
			return when(sub == "", field.Invalid(at, is, "field is immutable"))
		}
		return immutable(at, is[:len(was)], was) // a second family may come
	}, column("CIDRs", "string", "The ranges.", func(c *networkingv1.ServiceCIDR) any { return strings.Join(c.Spec.CIDRs, ",") }), registry.AgeColumn)
}

var networkingDefaults = []rule{
	filled(func(p *networkingv1.NetworkPolicyPort) { fillPtr(&p.Protocol, corev1.ProtocolTCP) }),
	filled(func(s *networkingv1.NetworkPolicySpec) {
		if len(s.PolicyTypes) > 0 {
			return
		}
		if s.PolicyTypes = []networkingv1.PolicyType{networkingv1.PolicyTypeIngress}; len(s.Egress) > 0 {
			s.PolicyTypes = append(s.PolicyTypes, networkingv1.PolicyTypeEgress)
		}
	}),
	filled(func(p *networkingv1.IngressClassParametersReference) {
		fillPtr(&p.Scope, networkingv1.IngressClassParametersReferenceScopeCluster)
	}),
}

var hostName = text(func(host string) []string {
	if _, err := netip.ParseAddr(host); err == nil {
		return []string{"must be a DNS name, not an IP address"}
	}
	if strings.Contains(host, "*") {
		return validation.IsWildcardDNS1123Subdomain(host)
	}
	return validation.IsDNS1123Subdomain(host)
})

var domainPath = some(func(at *field.Path, path string) field.ErrorList { return validation.IsDomainPrefixedPath(at, path) })

var networkingChecks = []rule{
	wrong("", "either `defaultBackend` or `rules` must be specified", func(s *networkingv1.IngressSpec) (any, bool) {
		return s.Rules, len(s.Rules) == 0 && s.DefaultBackend == nil
	}),
	each(func(_ *field.Path, i *networkingv1.Ingress) field.ErrorList {
		const name = "kubernetes.io/ingress.class"
		old, set := i.Annotations[name]
		return when(set && i.Spec.IngressClassName != nil && old != *i.Spec.IngressClassName && i.Generation <= 1,
			field.Invalid(field.NewPath("annotations", name), old, "must match `ingressClassName` when both are specified"))
	}),
	fields[networkingv1.IngressSpec]("ingressClassName", subdomain),
	fields[networkingv1.IngressRule]("host", optional(hostName)),
	fields[networkingv1.IngressTLS]("hosts", every(hostName)),
	fields[networkingv1.IngressTLS]("secretName", optional(subdomain)),
	fields[networkingv1.HTTPIngressRuleValue]("paths", required()),
	fields[networkingv1.IngressLoadBalancerIngress]("ip", optional(ip)),
	fields[networkingv1.IngressLoadBalancerIngress]("hostname", optional(hostName)),
	each(ingressPath), each(ingressBackend),
	fields[corev1.TypedLocalObjectReference]("apiGroup", optional(subdomain)),

	fields[networkingv1.IngressClassSpec]("controller", domainPath),
	fields[networkingv1.IngressClassParametersReference]("apiGroup", subdomain),
	fields[networkingv1.IngressClassParametersReference]("kind name", required(pathSegment)),
	fields[networkingv1.IngressClassParametersReference]("namespace", label),
	fields[networkingv1.IngressClassParametersReference]("scope", oneOf(networkingv1.IngressClassParametersReferenceScopeCluster, networkingv1.IngressClassParametersReferenceScopeNamespace)),
	missing("namespace", "`parameters.scope` is set to 'Namespace'", func(p *networkingv1.IngressClassParametersReference) bool {
		return deref(p.Scope) == networkingv1.IngressClassParametersReferenceScopeNamespace && p.Namespace == nil
	}),
	forbidden("namespace", "`parameters.scope` is set to 'Cluster'", func(p *networkingv1.IngressClassParametersReference) bool {
		return deref(p.Scope) == networkingv1.IngressClassParametersReferenceScopeCluster && p.Namespace != nil
	}),

	fields[networkingv1.NetworkPolicySpec]("policyTypes", every(oneOf(networkingv1.PolicyTypeIngress, networkingv1.PolicyTypeEgress))),
	fields[networkingv1.NetworkPolicyPort]("protocol", oneOfKnown(corev1.ProtocolSCTP, corev1.ProtocolTCP, corev1.ProtocolUDP)),
	fields[networkingv1.NetworkPolicyPort]("port", portRef),
	each(func(at *field.Path, p *networkingv1.NetworkPolicyPort) field.ErrorList {
		switch at := at.Child("endPort"); {
		case p.EndPort == nil:
			return nil
		case p.Port == nil || p.Port.Type == intstr.String:
			return field.ErrorList{field.Invalid(at, *p.EndPort, "may only be specified when `port` is a number")}
		default:
			return append(when(*p.EndPort < p.Port.IntVal, field.Invalid(at, *p.EndPort, "must be greater than or equal to `port`")), port(at, reflect.ValueOf(*p.EndPort))...)
		}
	}),
	missing("", "must specify a peer", func(p *networkingv1.NetworkPolicyPeer) bool { return len(choices(p)) == 0 }),
	forbidden("", "may not specify both ipBlock and another peer", func(p *networkingv1.NetworkPolicyPeer) bool { return p.IPBlock != nil && len(choices(p)) > 1 }),
	fields[networkingv1.IPBlock]("cidr", required(cidr)),
	fields[networkingv1.IPBlock]("except", every(cidr)),
	each(func(at *field.Path, b *networkingv1.IPBlock) (faults field.ErrorList) {
		whole, err := netip.ParsePrefix(b.CIDR)
		for i, s := range b.Except {
			part, wrong := netip.ParsePrefix(s)
			faults = append(faults, when(err == nil && wrong == nil && (!whole.Contains(part.Addr()) || whole.Bits() >= part.Bits()),
				field.Invalid(at.Child("except").Index(i), s, "must be a strict subset of `cidr`"))...)
		}
		return faults
	}),

	missing("parentRef", "", func(s *networkingv1.IPAddressSpec) bool { return s.ParentRef == nil }),
	fields[networkingv1.ParentReference]("group", optional(subdomain)),
	fields[networkingv1.ParentReference]("resource name", required(pathSegment)),
	fields[networkingv1.ParentReference]("namespace", optional(pathSegment)),
	fields[networkingv1.ServiceCIDRSpec]("cidrs", required(every(some(func(at *field.Path, s string) field.ErrorList { return validation.IsValidCIDR(at, s) })))),
	wrong("cidrs", "may only hold up to 2 values", func(s *networkingv1.ServiceCIDRSpec) (any, bool) { return s.CIDRs, len(s.CIDRs) > 2 }),
	wrong("cidrs", "may specify no more than one IP for each IP family", func(s *networkingv1.ServiceCIDRSpec) (any, bool) {
		return s.CIDRs, len(s.CIDRs) == 2 && strings.Contains(s.CIDRs[0], ":") == strings.Contains(s.CIDRs[1], ":")
	}),
}

func ingressPath(at *field.Path, p *networkingv1.HTTPIngressPath) (faults field.ErrorList) {
	path, exact := at.Child("path"), deref(p.PathType) == networkingv1.PathTypeExact || deref(p.PathType) == networkingv1.PathTypePrefix
	switch {
	case p.PathType == nil:
		return field.ErrorList{field.Required(at.Child("pathType"), "pathType must be specified")}
	case !exact && *p.PathType != networkingv1.PathTypeImplementationSpecific:
		return field.ErrorList{field.NotSupported(at.Child("pathType"), *p.PathType, []networkingv1.PathType{networkingv1.PathTypeExact, networkingv1.PathTypeImplementationSpecific, networkingv1.PathTypePrefix})}
	}
	faults = when(!strings.HasPrefix(p.Path, "/") && (exact || p.Path != ""), field.Invalid(path, p.Path, "must be an absolute path"))
	for _, bad := range []string{"//", "/./", "/../", "%2f", "%2F"} {
		faults = append(faults, when(exact && strings.Contains(p.Path, bad), field.Invalid(path, p.Path, "must not contain '"+bad+"'"))...)
	}
	for _, bad := range []string{"/..", "/."} {
		faults = append(faults, when(exact && strings.HasSuffix(p.Path, bad), field.Invalid(path, p.Path, "cannot end with '"+bad+"'"))...)
	}
	return faults
}

func ingressBackend(at *field.Path, b *networkingv1.IngressBackend) field.ErrorList {
	switch {
	case b.Service != nil && b.Resource != nil:
		return field.ErrorList{field.Invalid(at, "", "cannot set both resource and service backends")}
	case b.Resource != nil:
		return append(required(pathSegment)(at.Child("resource", "kind"), reflect.ValueOf(b.Resource.Kind)), required(pathSegment)(at.Child("resource", "name"), reflect.ValueOf(b.Resource.Name))...)
	case b.Service == nil:
		return field.ErrorList{field.Invalid(at, "", "resource or service backend is required")}
	}
	at2, p := at.Child("service"), b.Service.Port
	faults := required(label)(at2.Child("name"), reflect.ValueOf(b.Service.Name))
	switch {
	case p.Name != "" && p.Number != 0:
		faults = append(faults, field.Invalid(at, "", "cannot set both port name & port number"))
	case p.Name == "" && p.Number == 0:
		faults = append(faults, field.Required(at, "port name or number is required"))
	case p.Name != "":
		faults = append(faults, invalid(at2.Child("port", "name"), p.Name, validation.IsValidPortName(p.Name))...)
	default:
		faults = append(faults, port(at2.Child("port", "number"), reflect.ValueOf(p.Number))...)
	}
	return faults
}
