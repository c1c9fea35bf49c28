package nodelifecycle

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// byCondition says which condition keeps new pods away by which taint. (Concepts → Taints and Tolerations → taint nodes by condition.)
var byCondition = []struct {
	condition corev1.NodeConditionType
	status    corev1.ConditionStatus
	taint     string
}{
	{corev1.NodeReady, "", corev1.TaintNodeNotReady}, // a new node has said nothing yet; it was created with this taint
	{corev1.NodeReady, corev1.ConditionFalse, corev1.TaintNodeNotReady},
	{corev1.NodeReady, corev1.ConditionUnknown, corev1.TaintNodeUnreachable},
	{corev1.NodeMemoryPressure, corev1.ConditionTrue, corev1.TaintNodeMemoryPressure},
	{corev1.NodeDiskPressure, corev1.ConditionTrue, corev1.TaintNodeDiskPressure},
	{corev1.NodePIDPressure, corev1.ConditionTrue, corev1.TaintNodePIDPressure},
	{corev1.NodeNetworkUnavailable, corev1.ConditionTrue, corev1.TaintNodeNetworkUnavailable},
}

// ours reports that a taint follows from the node's state, so that nobody else's word counts.
func ours(t corev1.Taint) bool {
	switch t.Effect {
	case corev1.TaintEffectNoExecute:
		return t.Key == corev1.TaintNodeNotReady || t.Key == corev1.TaintNodeUnreachable
	case corev1.TaintEffectNoSchedule:
		if t.Key == corev1.TaintNodeUnschedulable {
			return true
		}
		for _, row := range byCondition {
			if row.taint == t.Key {
				return true
			}
		}
	}
	return false
}

// taints are those that a node should have now; again is when that may be others without anything happening.
func taints(v view, now time.Time) (want []corev1.Taint, again time.Duration) {
	keep := func(key string, effect corev1.TaintEffect) {
		for _, have := range v.node.Spec.Taints {
			if have.Key == key && have.Effect == effect {
				want = append(want, have)
				return
			}
		}
		added := metav1.NewTime(now)
		want = append(want, corev1.Taint{Key: key, Effect: effect, TimeAdded: &added})
	}
	for _, t := range v.node.Spec.Taints {
		if !ours(t) {
			want = append(want, t)
		}
	}
	for _, row := range byCondition {
		if condition(v.node, row.condition).Status == row.status {
			keep(row.taint, corev1.TaintEffectNoSchedule)
		}
	}
	if v.node.Spec.Unschedulable {
		keep(corev1.TaintNodeUnschedulable, corev1.TaintEffectNoSchedule)
	}
	evicting, again := evicting(v, now)
	return append(want, evicting...), again
}

// evicting is the NoExecute taint of a node that is not ready. Not-ready and unreachable exclude each other; when one becomes the other, its time
// goes on. A first one has to wait for its zone's turn, and while no node at all is ready there are none: then it is us who are cut off.
func evicting(v view, now time.Time) (taint []corev1.Taint, again time.Duration) {
	var key string
	switch readiness(v.node).Status {
	case corev1.ConditionFalse:
		key = corev1.TaintNodeNotReady
	case corev1.ConditionUnknown:
		key = corev1.TaintNodeUnreachable
	default:
		return nil, 0
	}
	zones := zonesOf(v.nodes)
	if allLost(zones) {
		return nil, 0
	}
	added := metav1.NewTime(now)
	if have := evictingTaint(v.node); have != nil {
		added = *have.TimeAdded
	} else if wait, ok := zones[zoneOf(v.node)].wait(now); !ok || wait > 0 {
		return nil, wait
	}
	return []corev1.Taint{{Key: key, Effect: corev1.TaintEffectNoExecute, TimeAdded: &added}}, 0
}

// evictingTaint is the one that a node has.
func evictingTaint(n *corev1.Node) *corev1.Taint {
	i := slices.IndexFunc(n.Spec.Taints, func(t corev1.Taint) bool {
		return t.Effect == corev1.TaintEffectNoExecute && ours(t) && t.TimeAdded != nil
	})
	if i < 0 {
		return nil
	}
	return &n.Spec.Taints[i]
}

// sameTaints compares without regard to order.
func sameTaints(a, b []corev1.Taint) bool {
	return len(a) == len(b) && !slices.ContainsFunc(a, func(t corev1.Taint) bool {
		return !slices.ContainsFunc(b, func(u corev1.Taint) bool {
			return t.MatchTaint(&u) && t.Value == u.Value && t.TimeAdded.Equal(u.TimeAdded)
		})
	})
}
