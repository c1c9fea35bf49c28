package plugins

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"optimist/scheduler/framework"
)

// Resources demands that what the pod requests is left over by the requests of the pods that are there. What pods really use plays no part.
type Resources struct{}

func (Resources) Name() string { return "Resources" }

func (Resources) WakesOn() []framework.Change {
	return []framework.Change{framework.NodeAdded, framework.NodeAllocatable, framework.PodGone}
}

func (r Resources) Prepare(pod *corev1.Pod) func(*framework.Node) *framework.Reason {
	need := framework.RequestsOf(pod)
	names := slices.Sorted(maps.Keys(need))
	return func(n *framework.Node) *framework.Reason {
		for _, name := range names {
			left := n.Allocatable[name] - n.Requested[name]
			if need[name] == 0 || need[name] <= left {
				continue
			}
			return &framework.Reason{Plugin: r.Name(), Text: shortage(name),
				Need:        framework.Quantity(name, need[name]),
				Have:        fmt.Sprintf("%s of %s", framework.Quantity(name, max(left, 0)), framework.Quantity(name, n.Allocatable[name])),
				Preemptible: need[name] <= n.Allocatable[name]}
		}
		return nil
	}
}

func shortage(name corev1.ResourceName) string {
	if name == corev1.ResourcePods {
		return "Too many pods"
	}
	return "Insufficient " + string(name)
}

// LeastAllocated prefers nodes of which more CPU and memory would be left.
type LeastAllocated struct{}

func (LeastAllocated) Name() string  { return "LeastAllocated" }
func (LeastAllocated) Weight() int64 { return 1 }

func (LeastAllocated) Prepare(pod *corev1.Pod, _ []*framework.Node) func(*framework.Node) int64 {
	need := framework.RequestsOf(pod)
	return func(n *framework.Node) int64 {
		var points int64
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			if total := n.Allocatable[name]; total > 0 {
				points += max(0, total-n.Requested[name]-need[name]) * framework.MaxScore / total / 2
			}
		}
		return points
	}
}
