package api

import (
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// HostPorts are the node's ports that a pod's containers and sidecars want. With hostNetwork that is every port, as the defaults have it.
func HostPorts(p *corev1.Pod) (all []corev1.ContainerPort) {
	return slices.DeleteFunc(Ports(p), func(p corev1.ContainerPort) bool { return p.HostPort == 0 })
}

// Ports are those of a pod's containers, then of its sidecars.
func Ports(p *corev1.Pod) (all []corev1.ContainerPort) {
	for _, c := range p.Spec.Containers {
		all = append(all, c.Ports...)
	}
	for _, c := range p.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			all = append(all, c.Ports...)
		}
	}
	return all
}

// Clash is the first port that both want; "" = none. One for all of the node's addresses clashes with one for any.
func Clash(want []corev1.ContainerPort, other *corev1.Pod) string {
	every := func(ip string) bool { return ip == "" || ip == "0.0.0.0" }
	for _, has := range HostPorts(other) {
		if slices.ContainsFunc(want, func(w corev1.ContainerPort) bool {
			return w.HostPort == has.HostPort && w.Protocol == has.Protocol && (w.HostIP == has.HostIP || every(w.HostIP) || every(has.HostIP))
		}) {
			return fmt.Sprintf("%d/%s", has.HostPort, has.Protocol)
		}
	}
	return ""
}
