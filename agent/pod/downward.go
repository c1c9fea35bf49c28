package pod

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// field is the downward API: a field of the pod by its path.
func field(v View, path string) (string, error) {
	if name, key, ok := strings.Cut(strings.TrimSuffix(path, "']"), "['"); ok {
		switch name {
		case "metadata.labels":
			return v.Pod.Labels[key], nil
		case "metadata.annotations":
			return v.Pod.Annotations[key], nil
		}
	}
	read := podFields[path]
	if read == nil {
		return "", fmt.Errorf("unsupported fieldPath: %s", path)
	}
	return read(v), nil
}

var podFields = map[string]func(View) string{
	"metadata.name":           func(v View) string { return v.Pod.Name },
	"metadata.namespace":      func(v View) string { return v.Pod.Namespace },
	"metadata.uid":            func(v View) string { return string(v.Pod.UID) },
	"spec.nodeName":           func(v View) string { return v.Pod.Spec.NodeName },
	"spec.serviceAccountName": func(v View) string { return v.Pod.Spec.ServiceAccountName },
	"status.hostIP":           func(v View) string { return v.Node.IP },
	"status.hostIPs":          func(v View) string { return v.Node.IP },
	"status.podIP":            podIP,
	"status.podIPs":           podIP,
}

func podIP(v View) string {
	if v.Pod.Spec.HostNetwork {
		return v.Node.IP
	}
	if v.Sandbox != nil && v.Sandbox.Address.IsValid() {
		return v.Sandbox.Address.String()
	}
	return ""
}

// resourceField is a request or limit of a container; a limit that is not set is what the node has.
func resourceField(v View, c *corev1.Container, ref *corev1.ResourceFieldSelector) (string, error) {
	if ref.ContainerName != "" {
		if c = containerNamed(v.Pod, ref.ContainerName); c == nil {
			return "", fmt.Errorf("resourceFieldRef names the container %q, which the pod does not have", ref.ContainerName)
		}
	}
	list, name, _ := strings.Cut(ref.Resource, ".")
	var q resource.Quantity
	switch list {
	case "limits":
		limit, set := c.Resources.Limits[corev1.ResourceName(name)]
		if q = limit; !set {
			q = v.Node.Allocatable[corev1.ResourceName(name)]
		}
	case "requests":
		q = c.Resources.Requests[corev1.ResourceName(name)]
	default:
		return "", fmt.Errorf("unsupported container resource : %s", ref.Resource)
	}
	return divided(q, name, ref.Divisor), nil
}

// divided rounds up, as Kubernetes does.
func divided(q resource.Quantity, name string, divisor resource.Quantity) string {
	if divisor.IsZero() {
		divisor = resource.MustParse("1")
	}
	value, by := q.Value(), divisor.Value()
	if name == string(corev1.ResourceCPU) {
		value, by = q.MilliValue(), divisor.MilliValue()
	}
	return fmt.Sprint((value + by - 1) / by)
}

func containerNamed(pod *corev1.Pod, name string) *corev1.Container {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	return nil
}
