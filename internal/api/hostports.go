package api

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// HostPorts are the node's ports that a pod's containers and sidecars want. With hostNetwork that is every port, as the defaults have it.
func HostPorts(p *corev1.Pod) (all []corev1.ContainerPort) {
	for _, c := range p.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			all = append(all, c.Ports...)
		}
	}
	for _, c := range p.Spec.Containers {
		all = append(all, c.Ports...)
	}
	return slices.DeleteFunc(all, func(p corev1.ContainerPort) bool { return p.HostPort == 0 })
}
