package framework

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Resources are amounts: CPU in thousandths of a core, memory and storage in bytes, the rest in pieces.
type Resources map[corev1.ResourceName]int64

// FromList converts a resource list of the API.
func FromList(l corev1.ResourceList) Resources {
	r := make(Resources, len(l))
	for name, q := range l {
		r[name] = amount(name, q)
	}
	return r
}

func amount(name corev1.ResourceName, q resource.Quantity) int64 {
	if name == corev1.ResourceCPU {
		return q.MilliValue()
	}
	return q.Value()
}

// Quantity is an amount as people write it: 500m, 64Mi.
func Quantity(name corev1.ResourceName, n int64) string {
	switch name {
	case corev1.ResourceCPU:
		return resource.NewMilliQuantity(n, resource.DecimalSI).String()
	case corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
		return resource.NewQuantity(n, resource.BinarySI).String()
	}
	return resource.NewQuantity(n, resource.DecimalSI).String()
}

// Plus, Minus and Max return new amounts; the receivers stay as they are.
func (r Resources) Plus(o Resources) Resources {
	return r.combine(o, func(a, b int64) int64 { return a + b })
}
func (r Resources) Minus(o Resources) Resources {
	return r.combine(o, func(a, b int64) int64 { return a - b })
}
func (r Resources) Max(o Resources) Resources {
	return r.combine(o, func(a, b int64) int64 { return max(a, b) })
}

func (r Resources) combine(o Resources, f func(a, b int64) int64) Resources {
	sum := make(Resources, len(r)+len(o))
	maps.Copy(sum, r)
	for name, n := range o {
		sum[name] = f(sum[name], n)
	}
	return sum
}

// RequestsOf is what a pod needs at its hungriest moment: all its containers together, or an init container beside the sidecars
// started before it, whichever is more; plus one of the node's places for pods.
// (KEP-753 "Sidecar containers", resource calculation.)
func RequestsOf(p *corev1.Pod) Resources {
	sidecars, initPeak := Resources{}, Resources{}
	for _, c := range p.Spec.InitContainers {
		need := FromList(c.Resources.Requests)
		if c.RestartPolicy != nil && *c.RestartPolicy == corev1.ContainerRestartPolicyAlways {
			sidecars = sidecars.Plus(need)
			initPeak = initPeak.Max(sidecars)
			continue
		}
		initPeak = initPeak.Max(sidecars.Plus(need))
	}
	sum := sidecars
	for _, c := range p.Spec.Containers {
		sum = sum.Plus(FromList(c.Resources.Requests))
	}
	sum = sum.Max(initPeak).Plus(FromList(p.Spec.Overhead))
	sum[corev1.ResourcePods] = 1
	return sum
}
