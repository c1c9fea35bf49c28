package plugins

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"optimist/internal/api"
	"optimist/scheduler/framework"
)

// TaintToleration keeps pods off nodes with a NoSchedule or NoExecute taint that they do not tolerate.
type TaintToleration struct{}

func (TaintToleration) Name() string { return "TaintToleration" }

func (TaintToleration) WakesOn() []framework.Change {
	return []framework.Change{framework.NodeAdded, framework.NodeTaints}
}

func (t TaintToleration) Prepare(pod *corev1.Pod) func(*framework.Node) *framework.Reason {
	return func(n *framework.Node) *framework.Reason {
		taint := untolerated(pod, n)
		if taint == nil {
			return nil
		}
		return &framework.Reason{Plugin: t.Name(),
			Text: fmt.Sprintf("node(s) had untolerated taint {%s: %s}", taint.Key, taint.Value),
			Need: "a toleration of " + taint.ToString(), Have: tolerationsText(pod)}
	}
}

func untolerated(pod *corev1.Pod, n *framework.Node) *corev1.Taint {
	for i, taint := range n.Spec.Taints {
		if taint.Effect != corev1.TaintEffectPreferNoSchedule && !tolerates(pod, taint) {
			return &n.Spec.Taints[i]
		}
	}
	return nil
}

// Fixes: what the cluster itself says about a node (node.kubernetes.io/unreachable …) is not cured by tolerating it.
func (TaintToleration) Fixes(pod *corev1.Pod, n *framework.Node) []framework.Fix {
	taint := untolerated(pod, n)
	switch {
	case taint.Key == corev1.TaintNodeUnschedulable:
		return Unschedulable{}.Fixes(pod, n)
	case strings.HasPrefix(taint.Key, "node.kubernetes.io/"):
		return nil
	}
	return []framework.Fix{{Kind: framework.Tolerate, Node: n.Name, Key: taint.Key, Value: taint.Value, Effect: taint.Effect, Cost: 3}}
}

// PreferNoSchedule prefers nodes with fewer PreferNoSchedule taints that the pod does not tolerate.
type PreferNoSchedule struct{}

func (PreferNoSchedule) Name() string  { return "PreferNoSchedule" }
func (PreferNoSchedule) Weight() int64 { return 3 }

func (PreferNoSchedule) Prepare(pod *corev1.Pod, fitting []*framework.Node) func(*framework.Node) int64 {
	return fewest(fitting, func(n *framework.Node) int {
		count := 0
		for _, taint := range n.Spec.Taints {
			if taint.Effect == corev1.TaintEffectPreferNoSchedule && !tolerates(pod, taint) {
				count++
			}
		}
		return count
	})
}

func tolerates(pod *corev1.Pod, taint corev1.Taint) bool {
	return slices.ContainsFunc(pod.Spec.Tolerations, func(t corev1.Toleration) bool { return api.Tolerates(t, taint) })
}

// tolerationsText names what the pod's author tolerates, not what every pod does.
func tolerationsText(pod *corev1.Pod) string {
	var keys []string
	for _, t := range pod.Spec.Tolerations {
		if !strings.HasPrefix(t.Key, "node.kubernetes.io/") {
			keys = append(keys, t.Key)
		}
	}
	return cmp.Or(strings.Join(keys, ", "), "none")
}
