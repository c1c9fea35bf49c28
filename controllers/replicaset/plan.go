package replicaset

import (
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
	"optimist/internal/reconcile"
)

// burst bounds how many Pods one plan creates or deletes; the next plan goes on.
const burst = 500

// view is what a plan is made from.
type view struct {
	set     *appsv1.ReplicaSet
	pods    []*corev1.Pod          // its own, and its namespace's orphans
	related []*corev1.Pod          // those of all sets with the same controller: how crowded nodes are decides who goes
	taken   func(name string) bool // whether any Pod holds a name
}

// plan claims Pods; else creates or deletes some; else reports. So every report is about a state that was not being changed.
func plan(v view, now time.Time) ([]reconcile.Action, time.Duration) {
	sel, err := metav1.LabelSelectorAsSelector(v.set.Spec.Selector)
	if err != nil {
		return nil, 0 // validation keeps these out
	}
	mine, steps := reconcile.Claim(v.set, sel, api.PodKind, v.pods)
	v.pods = mine
	if len(steps) > 0 {
		return steps, 0
	}
	if v.set.DeletionTimestamp == nil {
		if steps = replicas(v); len(steps) > 0 {
			return steps, 0
		}
	}
	return report(v, now, nil), nextAvailable(v, now)
}

// replicas plans the Pods that are missing or too many.
func replicas(v view) []reconcile.Action {
	active := slices.DeleteFunc(slices.Clone(v.pods), func(p *corev1.Pod) bool { return !isActive(p) })
	want := int(*v.set.Spec.Replicas)
	switch diff := want - len(active); {
	case diff > 0:
		return create(v, min(diff, burst), fmt.Sprintf("%d of %d pods exist", len(active), want))
	case diff < 0:
		return remove(v, active, min(-diff, burst), fmt.Sprintf("%d pods exist, %d are wanted", len(active), want))
	}
	return nil
}

func create(v view, n int, why string) []reconcile.Action {
	var steps []reconcile.Action
	for ordinal := 0; len(steps) < n; ordinal++ {
		name := reconcile.ChildName(v.set, ordinal)
		if v.taken(name) || slices.ContainsFunc(steps, func(a reconcile.Action) bool { return a.Key.Name == name }) {
			continue
		}
		steps = append(steps, reconcile.Create(api.PodKind, newPod(v.set, name), why, &reconcile.Say{
			Type: corev1.EventTypeNormal, Reason: "SuccessfulCreate", Message: "Created pod: " + name, Failed: "FailedCreate"}))
	}
	return steps
}

func remove(v view, active []*corev1.Pod, n int, why string) []reconcile.Action {
	var steps []reconcile.Action
	for _, p := range ranked(active, v.related)[:n] {
		steps = append(steps, reconcile.Delete(api.PodKind, p, why, &reconcile.Say{
			Type: corev1.EventTypeNormal, Reason: "SuccessfulDelete", Message: "Deleted pod: " + p.Name, Failed: "FailedDelete"}))
	}
	return steps
}

func newPod(set *appsv1.ReplicaSet, name string) *corev1.Pod {
	t := set.Spec.Template.DeepCopy()
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: set.Namespace, Name: name,
			Labels: t.Labels, Annotations: t.Annotations, Finalizers: t.Finalizers,
			OwnerReferences: []metav1.OwnerReference{reconcile.OwnerRef(set)},
		},
		Spec: t.Spec,
	}
}

// isActive reports whether a Pod counts: it runs, or will.
func isActive(p *corev1.Pod) bool {
	return !api.Ended(p) && p.DeletionTimestamp == nil
}
