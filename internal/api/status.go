package api

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Ended reports that a pod is over: none of its containers runs, or will again.
func Ended(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

// PodCondition is the one of a type; nil = the pod has none.
func PodCondition(s *corev1.PodStatus, t corev1.PodConditionType) *corev1.PodCondition {
	for i := range s.Conditions {
		if s.Conditions[i].Type == t {
			return &s.Conditions[i]
		}
	}
	return nil
}

// PodReady reports that its condition Ready is True. It may be being deleted.
func PodReady(p *corev1.Pod) bool {
	c := PodCondition(&p.Status, corev1.PodReady)
	return c != nil && c.Status == corev1.ConditionTrue
}

// NodeReady reports that its condition Ready is True: the agent has said so, and is not silent.
func NodeReady(n *corev1.Node) bool {
	return slices.ContainsFunc(n.Status.Conditions, func(c corev1.NodeCondition) bool {
		return c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue
	})
}
