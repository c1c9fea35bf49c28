package kinds

import (
	"fmt"
	"strconv"
	"strings"

	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

func endpointSliceRules() registry.Rules {
	type slice = discoveryv1.EndpointSlice
	port := func(p discoveryv1.EndpointPort) string {
		if p.Port == nil {
			return orElse(deref(p.Name), "*")
		}
		return strconv.Itoa(int(*p.Port))
	}
	return stored(api.EndpointSliceKind, fixed[*slice]("addressType"), shown[*slice]("AddressType", "addressType", "", "What the addresses are."),
		column("Ports", "string", "Ports at which the endpoints listen.", func(s *slice) any { return firstThree(texts(s.Ports, port), unset) }),
		column("Endpoints", "string", "Addresses of the endpoints.", func(s *slice) any {
			var all []string
			for _, e := range s.Endpoints {
				all = append(all, e.Addresses...)
			}
			return firstThree(all, unset)
		}), registry.AgeColumn)
}

const unset = "<unset>"

// firstThree lists a few things and says how many more there are.
func firstThree(all []string, instead string) string {
	if n := len(all); n > 3 {
		return fmt.Sprintf("%s + %d more...", strings.Join(all[:3], ","), n-3)
	}
	return orElse(strings.Join(all, ","), instead)
}

var endpointSliceChecks = []rule{
	fields[discoveryv1.EndpointSlice]("addressType", oneOf(discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6, discoveryv1.AddressTypeFQDN)),
	fields[discoveryv1.EndpointSlice]("endpoints", atMost(1000)),
	fields[discoveryv1.EndpointSlice]("ports", atMost(20000)),
	each(endpointAddresses),
	fields[discoveryv1.EndpointSlice]("ports", distinct("name", func(p discoveryv1.EndpointPort) any { return deref(p.Name) })), // no name is one too
	fields[discoveryv1.Endpoint]("addresses", required(atMost(100))),
	fields[discoveryv1.Endpoint]("nodeName", subdomain),
	fields[discoveryv1.Endpoint]("hostname", label),
	fields[discoveryv1.Endpoint]("deprecatedTopology", labelSet),
	fields[discoveryv1.EndpointHints]("forZones forNodes", atMost(8)),
	fields[discoveryv1.EndpointHints]("forZones", distinct("name", func(z discoveryv1.ForZone) string { return z.Name })),
	fields[discoveryv1.EndpointHints]("forNodes", distinct("name", func(n discoveryv1.ForNode) string { return n.Name })),
	fields[discoveryv1.ForZone]("name", qualified),
	fields[discoveryv1.ForNode]("name", subdomain),
	fields[discoveryv1.EndpointPort]("name", optional(label)),
	fields[discoveryv1.EndpointPort]("protocol", protocol),
	fields[discoveryv1.EndpointPort]("port", port),
	fields[discoveryv1.EndpointPort]("appProtocol", qualified),
}

func endpointAddresses(_ *field.Path, s *discoveryv1.EndpointSlice) (faults field.ErrorList) {
	for i, e := range s.Endpoints {
		for j, a := range e.Addresses {
			at := field.NewPath("endpoints").Index(i).Child("addresses").Index(j)
			bad := validation.IsValidIP(at, a)
			switch {
			case s.AddressType == discoveryv1.AddressTypeFQDN:
				bad = validation.IsFullyQualifiedDomainName(at, a)
			case len(bad) == 0 && strings.Contains(a, ":") != (s.AddressType == discoveryv1.AddressTypeIPv6):
				bad = field.ErrorList{field.Invalid(at, a, "must be an "+string(s.AddressType)+" address")}
			case len(bad) == 0:
				bad = reachable(at, a)
			}
			faults = append(faults, bad...)
		}
	}
	return faults
}
