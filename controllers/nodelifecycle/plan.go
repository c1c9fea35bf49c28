package nodelifecycle

import (
	"encoding/json"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
	"optimist/internal/reconcile"
)

const (
	grace        = 50 * time.Second // --node-monitor-grace-period
	startupGrace = 60 * time.Second // --node-startup-grace-period
)

// spoken are the conditions that we answer for when a node is silent.
var spoken = []corev1.NodeConditionType{corev1.NodeReady, corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure}

// view is what a plan is made from.
type view struct {
	node  *corev1.Node
	heard time.Time      // when it last gave a sign of life
	nodes []*corev1.Node // all, and …
	pods  []*corev1.Pod  // … those of this one; both only if it is known not to be ready
}

// plan first says that a node is silent. What follows from its conditions is planned on the node as it then is.
func plan(v view, now time.Time) ([]reconcile.Action, time.Duration) {
	if conditions := v.unspoken(); len(conditions) > 0 && v.silent(now) {
		return speak(v.node, conditions, now), 0
	}
	taints, again := taints(v, now)
	steps := append(retaint(v.node, taints), unready(v, now)...)
	if left := v.left(now); left > 0 && (again == 0 || left < again) {
		again = left
	}
	return steps, again
}

// left is for how long a node may still be silent.
func (v view) left(now time.Time) time.Duration {
	patience := grace
	if readiness(v.node).Status == "" {
		patience = startupGrace
	}
	return patience - now.Sub(v.heard)
}

func (v view) silent(now time.Time) bool { return v.left(now) <= 0 }

// unspoken are the conditions that silence would change.
func (v view) unspoken() (all []corev1.NodeCondition) {
	for _, t := range spoken {
		if c := condition(v.node, t); c.Status != corev1.ConditionUnknown {
			all = append(all, c)
		}
	}
	return all
}

// speak plans to say Unknown, provided that the node still has said nothing else.
func speak(n *corev1.Node, conditions []corev1.NodeCondition, now time.Time) []reconcile.Action {
	for i := range conditions {
		c := &conditions[i]
		c.Reason, c.Message = "NodeStatusUnknown", "Kubelet stopped posting node status."
		if c.Status == "" {
			c.Reason, c.Message, c.LastHeartbeatTime = "NodeStatusNeverUpdated", "Kubelet never posted node status.", n.CreationTimestamp
		}
		c.Status, c.LastTransitionTime = corev1.ConditionUnknown, metav1.NewTime(now)
	}
	var say *reconcile.Say
	if readiness(n).Status == corev1.ConditionTrue {
		say = &reconcile.Say{Type: corev1.EventTypeNormal, Reason: "NodeNotReady", Message: "Node " + n.Name + " status is now: NodeNotReady"}
	}
	data, _ := json.Marshal(map[string]any{"status": map[string]any{"conditions": conditions}}) // of typed objects this never fails
	return []reconcile.Action{patch(n, "status", data, "neither its lease nor its status has changed for its grace period", say)}
}

// retaint plans to write taints that differ. A list of taints is replaced whole, so the node must still be the one that was planned on.
func retaint(n *corev1.Node, taints []corev1.Taint) []reconcile.Action {
	if sameTaints(n.Spec.Taints, taints) {
		return nil
	}
	data, _ := json.Marshal(map[string]any{"spec": map[string]any{"taints": taints}})
	return []reconcile.Action{patch(n, "", data, "its taints follow from its conditions", nil)}
}

func patch(n *corev1.Node, sub string, data []byte, why string, say *reconcile.Say) reconcile.Action {
	a := reconcile.Patch(api.NodeKind, n, string(data), why, say)
	a.Sub, a.Pre.Revision = sub, api.RevisionOf(n)
	return a
}

// unready plans that the pods of a node whose state nobody knows do not count as ready. Of a node that says itself that it is not ready, the
// agent lives and speaks for its pods.
func unready(v view, now time.Time) (steps []reconcile.Action) {
	if readiness(v.node).Status != corev1.ConditionUnknown {
		return nil
	}
	for _, p := range v.pods {
		for _, c := range p.Status.Conditions {
			if c.Type != corev1.PodReady || c.Status != corev1.ConditionTrue {
				continue
			}
			c.Status, c.LastTransitionTime = corev1.ConditionFalse, metav1.NewTime(now)
			data, _ := json.Marshal(map[string]any{"status": map[string]any{"conditions": []corev1.PodCondition{c}}})
			a := reconcile.Patch(api.PodKind, p, string(data), "its node is silent", &reconcile.Say{
				Type: corev1.EventTypeWarning, Reason: "NodeNotReady", Message: "Node is not ready", About: p})
			a.Sub = "status"
			steps = append(steps, a)
		}
	}
	return steps
}

func readiness(n *corev1.Node) corev1.NodeCondition { return condition(n, corev1.NodeReady) }

// condition is a node's condition; without status if it has none of the type.
func condition(n *corev1.Node, t corev1.NodeConditionType) corev1.NodeCondition {
	for _, c := range n.Status.Conditions {
		if c.Type == t {
			return c
		}
	}
	return corev1.NodeCondition{Type: t}
}
