package plugins

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"optimist/scheduler/framework"
)

// NodeSelector demands the labels of spec.nodeSelector of a node.
type NodeSelector struct{}

func (NodeSelector) Name() string { return "NodeSelector" }

func (NodeSelector) WakesOn() []framework.Change {
	return []framework.Change{framework.NodeAdded, framework.NodeLabels}
}

func (s NodeSelector) Prepare(pod *corev1.Pod) func(*framework.Node) *framework.Reason {
	want := labels.SelectorFromSet(pod.Spec.NodeSelector)
	return func(n *framework.Node) *framework.Reason {
		if want.Matches(labels.Set(n.Labels)) {
			return nil
		}
		return &framework.Reason{Plugin: s.Name(), Text: "node(s) didn't match Pod's node affinity/selector",
			Need: want.String(), Have: labels.Set(n.Labels).String()}
	}
}
