package describe

import (
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

func service(ctx context.Context, c Cluster, p *page, s *corev1.Service) {
	p.head(s)
	p.line("Selector:\t%s", printer.Labels(s.Spec.Selector))
	p.line("Type:\t%s", s.Spec.Type)
	if s.Spec.IPFamilyPolicy != nil {
		p.line("IP Family Policy:\t%s", *s.Spec.IPFamilyPolicy)
	}
	if len(s.Spec.IPFamilies) > 0 {
		p.line("IP Families:\t%s", joinOf(s.Spec.IPFamilies))
	}
	p.line("IP:\t%s", s.Spec.ClusterIP)
	p.line("IPs:\t%s", listOrNone(s.Spec.ClusterIPs))
	if len(s.Spec.ExternalIPs) > 0 {
		p.line("External IPs:\t%s", strings.Join(s.Spec.ExternalIPs, ","))
	}
	if s.Spec.ExternalName != "" {
		p.line("External Name:\t%s", s.Spec.ExternalName)
	}
	all := slicesOf(ctx, c, s)
	for _, port := range s.Spec.Ports {
		p.servicePort(port, all)
	}
	p.line("Session Affinity:\t%s", s.Spec.SessionAffinity)
	if s.Spec.ExternalTrafficPolicy != "" {
		p.line("External Traffic Policy:\t%s", s.Spec.ExternalTrafficPolicy)
	}
	if s.Spec.InternalTrafficPolicy != nil {
		p.line("Internal Traffic Policy:\t%s", *s.Spec.InternalTrafficPolicy)
	}
}

func (p *page) servicePort(port corev1.ServicePort, all []*discoveryv1.EndpointSlice) {
	name := or(port.Name, "<unset>")
	p.line("Port:\t%s\t%d/%s", name, port.Port, port.Protocol)
	p.line("TargetPort:\t%s/%s", port.TargetPort.String(), port.Protocol)
	if port.NodePort != 0 {
		p.line("NodePort:\t%s\t%d/%s", name, port.NodePort, port.Protocol)
	}
	p.line("Endpoints:\t%s", endpoints(port.Name, all))
}

func slicesOf(ctx context.Context, c Cluster, s *corev1.Service) []*discoveryv1.EndpointSlice {
	selector := labels.SelectorFromSet(labels.Set{discoveryv1.LabelServiceName: s.Name})
	all, err := api.EndpointSlices.List(ctx, c, s.Namespace, api.ListOptions{Selector: selector})
	if err != nil {
		return nil
	}
	return all
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
		return fmt.Sprintf("%s + %d more...", strings.Join(found[:maxEndpoints], ","), over)
	}
	return strings.Join(found, ",")
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

func joinOf[S ~string](all []S) string {
	var words []string
	for _, s := range all {
		words = append(words, string(s))
	}
	return strings.Join(words, ",")
}
