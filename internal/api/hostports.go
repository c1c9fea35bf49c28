package api

import corev1 "k8s.io/api/core/v1"

// HostPorts are the node's ports that a pod's containers and sidecars want. With hostNetwork that is every port, as the defaults have it.
func HostPorts(p *corev1.Pod) (all []corev1.ContainerPort) {
	add := func(c corev1.Container) {
		for _, port := range c.Ports {
			if port.HostPort > 0 {
				all = append(all, port)
			}
		}
	}
	for _, c := range p.Spec.InitContainers {
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			add(c)
		}
	}
	for _, c := range p.Spec.Containers {
		add(c)
	}
	return all
}
