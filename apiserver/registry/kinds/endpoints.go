package kinds

import (
	"net"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

func endpointsRules() registry.Rules {
	r := stored[*corev1.Endpoints](api.EndpointsKind, nil, column("Endpoints", "string", "Addresses and ports that serve.", func(e *corev1.Endpoints) any {
		var all []string
		for _, s := range e.Subsets {
			all = append(all, subsetAddresses(s)...)
		}
		return firstThree(all, none)
	}), registry.AgeColumn)
	r.Warnings = func(api.Object) []string {
		return []string{"v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"}
	}
	return r
}

func subsetAddresses(s corev1.EndpointSubset) (all []string) {
	if len(s.Ports) == 0 { // of a headless Service
		return texts(s.Addresses, func(a corev1.EndpointAddress) string { return a.IP })
	}
	for _, p := range s.Ports {
		for _, a := range s.Addresses {
			all = append(all, net.JoinHostPort(a.IP, strconv.Itoa(int(p.Port))))
		}
	}
	return all
}

var endpointsChecks = []rule{
	each(func(at *field.Path, s *corev1.EndpointSubset) (faults field.ErrorList) {
		faults = when(len(s.Addresses)+len(s.NotReadyAddresses) == 0, field.Required(at, "must specify `addresses` or `notReadyAddresses`"))
		for i, p := range s.Ports {
			faults = append(faults, when(p.Name == "" && len(s.Ports) > 1, field.Required(at.Child("ports").Index(i).Child("name"), ""))...)
		}
		return faults
	}),
	fields[corev1.EndpointAddress]("ip", ip, some(reachable)),
	fields[corev1.EndpointAddress]("hostname", optional(label)),
	fields[corev1.EndpointAddress]("nodeName", subdomain),
	fields[corev1.EndpointPort]("name", optional(label)),
	fields[corev1.EndpointPort]("protocol", protocol),
	fields[corev1.EndpointPort]("port", port),
	fields[corev1.EndpointPort]("appProtocol", qualified),
}
