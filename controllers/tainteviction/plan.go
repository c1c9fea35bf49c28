package tainteviction

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
	"optimist/internal/reconcile"
)

// plan says that the pod is disrupted and deletes it, if its time is over; else it says when to look again.
func plan(p *corev1.Pod, taints []corev1.Taint, now time.Time) ([]reconcile.Action, time.Duration) {
	if p.DeletionTimestamp != nil {
		return nil, 0
	}
	at, taint := deadline(p.Spec.Tolerations, taints)
	if taint == nil {
		return nil, 0
	}
	if left := at.Sub(now); left > 0 {
		return nil, left
	}
	return evict(p, fmt.Sprintf("its node has the taint %s", taint.ToString()), now), 0
}

// deadline is when the first of the NoExecute taints is no longer tolerated; nil = all are, for ever. Of several tolerations that match a taint
// the first counts, as in Kubernetes.
func deadline(tolerations []corev1.Toleration, taints []corev1.Taint) (at time.Time, because *corev1.Taint) {
	for _, t := range taints {
		if t.Effect != corev1.TaintEffectNoExecute {
			continue
		}
		var end time.Time // at once
		if i := slices.IndexFunc(tolerations, func(x corev1.Toleration) bool { return api.Tolerates(x, t) }); i >= 0 {
			seconds := tolerations[i].TolerationSeconds
			if seconds == nil {
				continue
			}
			if t.TimeAdded != nil {
				end = t.TimeAdded.Add(time.Duration(max(0, *seconds)) * time.Second)
			}
		}
		if because == nil || end.Before(at) {
			at, because = end, &t
		}
	}
	return at, because
}

func evict(p *corev1.Pod, why string, now time.Time) (steps []reconcile.Action) {
	disrupted := corev1.PodCondition{Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, ObservedGeneration: p.Generation,
		Reason: "DeletionByTaintManager", Message: "Taint manager: deleting due to NoExecute taint", LastTransitionTime: metav1.NewTime(now)}
	if !slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == disrupted.Type && c.Status == disrupted.Status && c.Reason == disrupted.Reason
	}) {
		data, _ := json.Marshal(map[string]any{"status": map[string]any{"conditions": []corev1.PodCondition{disrupted}}}) // of typed objects this never fails
		a := reconcile.Patch(api.PodKind, p, string(data), why, nil)
		a.Sub = "status"
		steps = append(steps, a)
	}
	return append(steps, reconcile.Delete(api.PodKind, p, why, &reconcile.Say{
		Type: corev1.EventTypeNormal, Reason: "TaintManagerEviction", Message: "Marking for deletion Pod " + api.KeyOf(p).String()}))
}
