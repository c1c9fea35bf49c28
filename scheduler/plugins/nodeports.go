package plugins

import (
	corev1 "k8s.io/api/core/v1"

	"optimist/internal/api"
	"optimist/scheduler/framework"
)

// NodePorts demands that the host ports which the pod wants are free on the node.
type NodePorts struct{}

func (NodePorts) Name() string { return "NodePorts" }

func (NodePorts) WakesOn() []framework.Change {
	return []framework.Change{framework.NodeAdded, framework.PodGone}
}

func (p NodePorts) Prepare(pod *corev1.Pod) func(*framework.Node) *framework.Reason {
	want := api.HostPorts(pod)
	return func(n *framework.Node) *framework.Reason {
		if len(want) == 0 {
			return nil
		}
		for _, other := range n.Pods {
			if port := api.Clash(want, other); port != "" {
				return &framework.Reason{Plugin: p.Name(), Text: "node(s) didn't have free ports for the requested pod ports", Preemptible: true,
					Need: "host port " + port, Have: "taken by " + other.Namespace + "/" + other.Name}
			}
		}
		return nil
	}
}

// Fixes: those that have the ports must go.
func (NodePorts) Fixes(pod *corev1.Pod, n *framework.Node) []framework.Fix {
	fix, want := framework.Fix{Kind: framework.Evict, Node: n.Name}, api.HostPorts(pod)
	for _, other := range n.Pods {
		if api.Clash(want, other) != "" {
			fix.Pods = append(fix.Pods, other.Namespace+"/"+other.Name)
		}
	}
	fix.Cost = 20 + len(fix.Pods)
	return []framework.Fix{fix}
}
