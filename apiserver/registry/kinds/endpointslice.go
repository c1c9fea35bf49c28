package kinds

import (
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

const (
	maxEndpoints         = 1000
	maxEndpointPorts     = 20000
	maxEndpointAddresses = 100
	maxEndpointHints     = 8
)

func endpointSliceRules() registry.Rules {
	return registry.Rules{
		Kind:     api.EndpointSliceKind,
		Default:  func(o api.Object) { defaultEndpointSlice(o.(*discoveryv1.EndpointSlice)) },
		Validate: validate(validateEndpointSlice),
		Warnings: stored[*discoveryv1.EndpointSlice](endpointSliceStored),
		Columns: []registry.Column{
			nameColumn(),
			column("AddressType", "string", "What the addresses are.", func(s *discoveryv1.EndpointSlice) any { return string(s.AddressType) }),
			column("Ports", "string", "Ports at which the endpoints listen.", func(s *discoveryv1.EndpointSlice) any { return endpointPorts(s) }),
			column("Endpoints", "string", "Addresses of the endpoints.", func(s *discoveryv1.EndpointSlice) any { return endpointAddresses(s) }),
			ageColumn(),
		},
	}
}

func defaultEndpointSlice(s *discoveryv1.EndpointSlice) {
	for i := range s.Ports {
		fillPtr(&s.Ports[i].Name, "")
		fillPtr(&s.Ports[i].Protocol, corev1.ProtocolTCP)
	}
}

func endpointPorts(s *discoveryv1.EndpointSlice) string {
	var all []string
	for _, p := range s.Ports {
		switch {
		case p.Port != nil:
			all = append(all, strconv.Itoa(int(*p.Port)))
		case deref(p.Name) != "":
			all = append(all, *p.Name)
		default:
			all = append(all, "*")
		}
	}
	return firstThree(all)
}

func endpointAddresses(s *discoveryv1.EndpointSlice) string {
	var all []string
	for _, e := range s.Endpoints {
		all = append(all, e.Addresses...)
	}
	return firstThree(all)
}

func validateEndpointSlice(_ string, s, old *discoveryv1.EndpointSlice) (faults field.ErrorList) {
	at := field.NewPath("addressType")
	faults = oneOf(at, s.AddressType, discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6, discoveryv1.AddressTypeFQDN)
	if old != nil {
		faults = append(faults, immutable(at, s.AddressType, old.AddressType)...)
	}
	faults = append(faults, validateEndpoints(s, field.NewPath("endpoints"))...)
	return append(faults, validateEndpointPorts(s.Ports, field.NewPath("ports"))...)
}

func validateEndpoints(s *discoveryv1.EndpointSlice, p *field.Path) (faults field.ErrorList) {
	if len(s.Endpoints) > maxEndpoints {
		return field.ErrorList{field.TooMany(p, len(s.Endpoints), maxEndpoints)}
	}
	for i := range s.Endpoints {
		faults = append(faults, validateEndpoint(&s.Endpoints[i], s.AddressType, p.Index(i))...)
	}
	return faults
}

func validateEndpoint(e *discoveryv1.Endpoint, t discoveryv1.AddressType, p *field.Path) (faults field.ErrorList) {
	addresses := p.Child("addresses")
	switch n := len(e.Addresses); {
	case n == 0:
		faults = append(faults, field.Required(addresses, "must contain at least 1 address"))
	case n > maxEndpointAddresses:
		faults = append(faults, field.TooMany(addresses, n, maxEndpointAddresses))
	}
	for i, a := range e.Addresses {
		faults = append(faults, validateEndpointAddress(a, t, addresses.Index(i))...)
	}
	if e.NodeName != nil {
		faults = append(faults, invalid(p.Child("nodeName"), *e.NodeName, validation.IsDNS1123Subdomain(*e.NodeName))...)
	}
	if e.Hostname != nil {
		faults = append(faults, invalid(p.Child("hostname"), *e.Hostname, validation.IsDNS1123Label(*e.Hostname))...)
	}
	faults = append(faults, validateTopology(e.DeprecatedTopology, p.Child("deprecatedTopology"))...)
	return append(faults, validateHints(e.Hints, p.Child("hints"))...)
}

func validateEndpointAddress(a string, t discoveryv1.AddressType, p *field.Path) field.ErrorList {
	switch t {
	case discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6:
		if faults := validation.IsValidIP(p, a); len(faults) > 0 {
			return faults
		}
		if strings.Contains(a, ":") != (t == discoveryv1.AddressTypeIPv6) {
			return field.ErrorList{field.Invalid(p, a, "must be an "+string(t)+" address")}
		}
		return validateReachable(a, p)
	case discoveryv1.AddressTypeFQDN:
		return validation.IsFullyQualifiedDomainName(p, a)
	}
	return nil
}

func validateTopology(t map[string]string, p *field.Path) (faults field.ErrorList) {
	if len(t) > 16 {
		faults = append(faults, field.TooMany(p, len(t), 16))
	}
	for key, value := range t {
		faults = append(faults, invalid(p.Key(key), key, validation.IsQualifiedName(key))...)
		faults = append(faults, invalid(p.Key(key), value, validation.IsValidLabelValue(value))...)
	}
	if _, found := t[corev1.LabelHostname]; found {
		faults = append(faults, field.Invalid(p.Key(corev1.LabelHostname), "", "topology keys are not allowed to include the node's name: use nodeName"))
	}
	return faults
}

// validateHints: who should use an endpoint, by zone and by node.
func validateHints(h *discoveryv1.EndpointHints, p *field.Path) field.ErrorList {
	if h == nil {
		return nil
	}
	var zones, nodes []string
	for _, z := range h.ForZones {
		zones = append(zones, z.Name)
	}
	for _, n := range h.ForNodes {
		nodes = append(nodes, n.Name)
	}
	return append(validateHinted(zones, validation.IsQualifiedName, p.Child("forZones")),
		validateHinted(nodes, validation.IsDNS1123Subdomain, p.Child("forNodes"))...)
}

func validateHinted(names []string, check func(string) []string, p *field.Path) (faults field.ErrorList) {
	if len(names) > maxEndpointHints {
		return field.ErrorList{field.TooMany(p, len(names), maxEndpointHints)}
	}
	seen := map[string]bool{}
	for i, name := range names {
		at := p.Index(i).Child("name")
		if seen[name] {
			faults = append(faults, field.Duplicate(at, name))
		}
		seen[name] = true
		faults = append(faults, invalid(at, name, check(name))...)
	}
	return faults
}

func validateEndpointPorts(ports []discoveryv1.EndpointPort, p *field.Path) (faults field.ErrorList) {
	if len(ports) > maxEndpointPorts {
		return field.ErrorList{field.TooMany(p, len(ports), maxEndpointPorts)}
	}
	names := map[string]bool{}
	for i, ep := range ports {
		at, name := p.Index(i), deref(ep.Name)
		if name != "" {
			faults = append(faults, label(at.Child("name"), name)...)
		}
		if names[name] {
			faults = append(faults, field.Duplicate(at.Child("name"), name))
		}
		names[name] = true
		faults = append(faults, oneOf(at.Child("protocol"), deref(ep.Protocol), protocols...)...)
		if ep.Port != nil {
			faults = append(faults, port(at.Child("port"), int(*ep.Port))...)
		}
		if ep.AppProtocol != nil {
			faults = append(faults, invalid(at.Child("appProtocol"), *ep.AppProtocol, validation.IsQualifiedName(*ep.AppProtocol))...)
		}
	}
	return faults
}
