package describe

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/labels"

	"optimist/ctl/printer"
	"optimist/internal/api"
)

func service(ctx context.Context, c Cluster, s *corev1.Service) rows {
	x := s.Spec
	all, _ := api.EndpointSlices.List(ctx, c, s.Namespace, api.ListOptions{ // without them the Service can still be described
		Selector: labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: s.Name})})
	return slices.Concat(rows{"Name", s.Name, "Namespace", s.Namespace}, marks(s),
		rows{"Selector", printer.Labels(x.Selector), "Type", x.Type, "IP Family Policy?", valueOr(x.IPFamilyPolicy, ""), "IP Families?", joined(x.IPFamilies),
			"IP", x.ClusterIP, "IPs", x.ClusterIPs, "External IPs?", joined(x.ExternalIPs), "External Name?", x.ExternalName},
		each(x.Ports, func(port corev1.ServicePort) rows { return servicePort(port, all) }),
		rows{"Session Affinity", x.SessionAffinity, "External Traffic Policy?", x.ExternalTrafficPolicy,
			"Internal Traffic Policy?", valueOr(x.InternalTrafficPolicy, "")})
}

func servicePort(port corev1.ServicePort, all []*discoveryv1.EndpointSlice) rows {
	name, nodePort := cmp.Or(port.Name, "<unset>"), ""
	if port.NodePort != 0 {
		nodePort = fmt.Sprintf("%s\t%d/%s", name, port.NodePort, port.Protocol)
	}
	return rows{"Port", fmt.Sprintf("%s\t%d/%s", name, port.Port, port.Protocol), "TargetPort", fmt.Sprintf("%s/%s", port.TargetPort.String(), port.Protocol),
		"NodePort?", nodePort, "Endpoints", endpoints(port.Name, all)}
}

const maxEndpoints = 3

// endpoints are the ready addresses behind a port, the first few by name.
func endpoints(port string, all []*discoveryv1.EndpointSlice) string {
	var found []string
	for _, slice := range all {
		for _, sp := range slice.Ports {
			if valueOr(sp.Name, "") == port && sp.Port != nil {
				found = append(found, addresses(slice, *sp.Port)...)
			}
		}
	}
	slices.Sort(found)
	if over := len(found) - maxEndpoints; over > 0 {
		return fmt.Sprintf("%s + %d more...", joined(found[:maxEndpoints]), over)
	}
	return joined(found)
}

func addresses(slice *discoveryv1.EndpointSlice, port int32) []string {
	var found []string
	for _, e := range slice.Endpoints {
		if valueOr(e.Conditions.Ready, true) {
			for _, a := range e.Addresses {
				found = append(found, fmt.Sprintf("%s:%d", a, port))
			}
		}
	}
	return found
}

func joined[S any](all []S) string {
	return strings.ReplaceAll(strings.Trim(fmt.Sprint(all), "[]"), " ", ",")
}
