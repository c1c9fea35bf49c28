package deployment

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
	"optimist/internal/reconcile"
)

// view is what a plan is made from.
type view struct {
	deployment *appsv1.Deployment
	sets       []*appsv1.ReplicaSet   // its own, and its namespace's orphans
	pods       map[string]int         // by ReplicaSet: Pods that have not ended, also those that are being deleted; Recreate only
	taken      func(name string) bool // whether any ReplicaSet holds a name
}

// rollout is a view with the ReplicaSets sorted out.
type rollout struct {
	view
	now time.Time
	new *appsv1.ReplicaSet   // the one with the current template; nil = there is none yet
	old []*appsv1.ReplicaSet // the others, oldest first
	all []*appsv1.ReplicaSet
}

// plan returns the first stage's steps, or the next stage's if there are none, and when to look again without being told of a change.
func plan(v view, now time.Time) ([]reconcile.Action, time.Duration) {
	d := v.deployment
	sel, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		return nil, 0 // validation keeps these out
	}
	mine, steps := reconcile.Claim(d, sel, api.ReplicaSetKind, v.sets)
	if len(steps) > 0 {
		return steps, 0
	}
	r := sortOut(v, mine, now)
	for _, stage := range stages(r) {
		if steps := stage(r); len(steps) > 0 {
			return steps, 0
		}
	}
	return r.report(), r.untilDeadline()
}

type stage func(rollout) []reconcile.Action

// stages are what there is to do, in order: a Deployment that is paused or changes its size does not roll out meanwhile.
func stages(r rollout) []stage {
	d := r.deployment
	switch {
	case d.DeletionTimestamp != nil:
		return nil
	case d.Spec.Paused:
		return []stage{rollout.pause, rollout.annotate, rollout.scale, rollout.cleanUp}
	case r.recreates() && r.oldRemain():
		return []stage{rollout.pause, rollout.annotate, rollout.stopOld}
	case !r.recreates() && r.resized():
		return []stage{rollout.pause, rollout.annotate, rollout.scale}
	}
	return []stage{rollout.pause, rollout.ensureNew, rollout.annotate, rollout.scaleNew, rollout.shrinkOld, rollout.cleanUp}
}

func sortOut(v view, mine []*appsv1.ReplicaSet, now time.Time) rollout {
	r := rollout{view: v, now: now, all: slices.Clone(mine)}
	slices.SortFunc(r.all, older)
	for _, set := range r.all {
		if r.new == nil && set.DeletionTimestamp == nil && sameTemplate(&set.Spec.Template, &v.deployment.Spec.Template) {
			r.new = set
		} else {
			r.old = append(r.old, set)
		}
	}
	return r
}

func older(a, b *appsv1.ReplicaSet) int {
	return cmp.Or(a.CreationTimestamp.Compare(b.CreationTimestamp.Time), cmp.Compare(a.Name, b.Name))
}

// sameTemplate compares templates but for the label that we add.
func sameTemplate(a, b *corev1.PodTemplateSpec) bool {
	a, b = a.DeepCopy(), b.DeepCopy()
	delete(a.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	delete(b.Labels, appsv1.DefaultDeploymentUniqueLabelKey)
	return equality.Semantic.DeepEqual(a, b)
}

// resize plans another size for a ReplicaSet and notes on it what the Deployment's size was then.
func (r rollout) resize(set *appsv1.ReplicaSet, to int32, why string) []reconcile.Action {
	from := *set.Spec.Replicas
	next := set.DeepCopy()
	next.Spec.Replicas = &to
	if changed := r.noteSize(next); from == to && !changed {
		return nil
	}
	var say *reconcile.Say
	if from != to {
		say = scaled(set.Name, from, to)
		why = fmt.Sprintf("%d → %d: %s", from, to, why)
	}
	return []reconcile.Action{reconcile.Update(api.ReplicaSetKind, "", next, why, say)}
}

func scaled(name string, from, to int32) *reconcile.Say {
	direction := "up"
	if to < from {
		direction = "down"
	}
	return &reconcile.Say{Type: corev1.EventTypeNormal, Reason: "ScalingReplicaSet",
		Message: fmt.Sprintf("Scaled %s replica set %s from %d to %d", direction, name, from, to)}
}

// The sums that all arithmetic is made of.

func asked(sets []*appsv1.ReplicaSet) (n int32) {
	for _, s := range sets {
		n += *s.Spec.Replicas
	}
	return n
}

func available(sets []*appsv1.ReplicaSet) (n int32) {
	for _, s := range sets {
		n += s.Status.AvailableReplicas
	}
	return n
}

func active(sets []*appsv1.ReplicaSet) []*appsv1.ReplicaSet {
	return slices.DeleteFunc(slices.Clone(sets), func(s *appsv1.ReplicaSet) bool { return *s.Spec.Replicas == 0 })
}
