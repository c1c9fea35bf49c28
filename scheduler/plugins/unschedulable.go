package plugins

import (
	corev1 "k8s.io/api/core/v1"

	"optimist/scheduler/framework"
)

// Unschedulable keeps pods off nodes that were cordoned (spec.unschedulable), unless they tolerate just that.
type Unschedulable struct{}

func (Unschedulable) Name() string { return "Unschedulable" }

func (Unschedulable) WakesOn() []framework.Change {
	return []framework.Change{framework.NodeAdded, framework.NodeTaints}
}

func (u Unschedulable) Prepare(pod *corev1.Pod) func(*framework.Node) *framework.Reason {
	cordon := corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}
	if tolerates(pod, cordon) {
		return func(*framework.Node) *framework.Reason { return nil }
	}
	return func(n *framework.Node) *framework.Reason {
		if !n.Spec.Unschedulable {
			return nil
		}
		return &framework.Reason{Plugin: u.Name(), Text: "node(s) were unschedulable", Have: "spec.unschedulable: true"}
	}
}

func (Unschedulable) Fixes(_ *corev1.Pod, n *framework.Node) []framework.Fix {
	return []framework.Fix{{Kind: framework.Uncordon, Node: n.Name, Cost: 1}}
}
