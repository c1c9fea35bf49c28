package deployment

import (
	"fmt"
	"math"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
	"optimist/internal/reconcile"
)

// The reasons of the condition Progressing that decide what comes next.
const (
	reasonAvailable = "NewReplicaSetAvailable"
	reasonUpdated   = "ReplicaSetUpdated"
	reasonTimedOut  = "ProgressDeadlineExceeded"
	reasonPaused    = "DeploymentPaused"
	reasonResumed   = "DeploymentResumed"
)

// report plans to write the status if it changed.
func (r rollout) report() []reconcile.Action {
	next := r.deployment.DeepCopy()
	next.Status = r.status()
	if equality.Semantic.DeepEqual(next.Status, r.deployment.Status) {
		return nil
	}
	s := next.Status
	why := fmt.Sprintf("%d of %d updated, %d ready, %d available", s.UpdatedReplicas, *next.Spec.Replicas, s.ReadyReplicas, s.AvailableReplicas)
	return []reconcile.Action{reconcile.Update(api.DeploymentKind, "status", next, why, nil)}
}

// reportFailure plans to say that the new ReplicaSet could not be made, if that is what failed.
func reportFailure(v view, now time.Time, failure error) []reconcile.Action {
	r := sortOut(v, v.sets, now)
	if r.new != nil {
		return nil
	}
	next := v.deployment.DeepCopy()
	next.Status.ObservedGeneration = next.Generation
	r.set(&next.Status, appsv1.DeploymentProgressing, corev1.ConditionFalse, "ReplicaSetCreateError", failure.Error())
	if equality.Semantic.DeepEqual(next.Status, v.deployment.Status) {
		return nil
	}
	return []reconcile.Action{reconcile.Update(api.DeploymentKind, "status", next, "the new ReplicaSet could not be created", nil)}
}

func (r rollout) status() appsv1.DeploymentStatus {
	d := r.deployment
	s := appsv1.DeploymentStatus{
		ObservedGeneration: d.Generation, CollisionCount: d.Status.CollisionCount, TerminatingReplicas: new(int32),
		Conditions: slices.Clone(d.Status.Conditions),
	}
	for _, set := range r.all {
		s.Replicas += set.Status.Replicas
		s.ReadyReplicas += set.Status.ReadyReplicas
		s.AvailableReplicas += set.Status.AvailableReplicas
		if t := set.Status.TerminatingReplicas; t != nil {
			*s.TerminatingReplicas += *t
		}
	}
	if r.new != nil {
		s.UpdatedReplicas = r.new.Status.Replicas
	}
	s.UnavailableReplicas = max(0, asked(r.all)-s.AvailableReplicas)
	r.judgeAvailability(&s)
	if !d.Spec.Paused && !r.resized() {
		r.judgeProgress(&s)
		r.carryFailure(&s)
	}
	return s
}

func (r rollout) judgeAvailability(s *appsv1.DeploymentStatus) {
	_, unavailable := bounds(r.deployment)
	if s.AvailableReplicas >= *r.deployment.Spec.Replicas-unavailable {
		r.set(s, appsv1.DeploymentAvailable, corev1.ConditionTrue, "MinimumReplicasAvailable", "Deployment has minimum availability.")
	} else {
		r.set(s, appsv1.DeploymentAvailable, corev1.ConditionFalse, "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
	}
}

// judgeProgress says how the rollout goes: done, further than before, or too long without getting further.
func (r rollout) judgeProgress(s *appsv1.DeploymentStatus) {
	if !hasDeadline(r.deployment) {
		drop(s, appsv1.DeploymentProgressing)
		return
	}
	have := progress(s)
	if have != nil && have.Reason == reasonAvailable && s.Replicas == s.UpdatedReplicas {
		return // a Pod that fails later does not undo a finished rollout
	}
	name := fmt.Sprintf("Deployment %q", r.deployment.Name)
	if r.new != nil {
		name = fmt.Sprintf("ReplicaSet %q", r.new.Name)
	}
	switch {
	case r.complete(*s):
		r.set(s, appsv1.DeploymentProgressing, corev1.ConditionTrue, reasonAvailable, name+" has successfully progressed.")
	case r.further(s):
		r.setProgress(s, reasonUpdated, name+" is progressing.")
	case r.timedOut(have):
		r.set(s, appsv1.DeploymentProgressing, corev1.ConditionFalse, reasonTimedOut, name+" has timed out progressing.")
	}
}

func (r rollout) complete(s appsv1.DeploymentStatus) bool {
	want := *r.deployment.Spec.Replicas
	return s.UpdatedReplicas == want && s.Replicas == want && s.AvailableReplicas == want && s.ObservedGeneration >= r.deployment.Generation
}

// further reports whether a status is closer to the goal than the one written last.
func (r rollout) further(s *appsv1.DeploymentStatus) bool {
	was := r.deployment.Status
	return s.UpdatedReplicas > was.UpdatedReplicas || s.Replicas-s.UpdatedReplicas < was.Replicas-was.UpdatedReplicas ||
		s.ReadyReplicas > was.ReadyReplicas || s.AvailableReplicas > was.AvailableReplicas
}

func (r rollout) timedOut(c *appsv1.DeploymentCondition) bool {
	if c == nil || c.Reason == reasonAvailable {
		return false
	}
	return c.Reason == reasonTimedOut || r.deadline(c).Before(r.now)
}

func (r rollout) deadline(c *appsv1.DeploymentCondition) time.Time {
	return c.LastUpdateTime.Add(time.Duration(*r.deployment.Spec.ProgressDeadlineSeconds) * time.Second)
}

// untilDeadline is when to look whether the rollout got stuck; 0 = there is no reason to.
func (r rollout) untilDeadline() time.Duration {
	c := progress(&r.deployment.Status)
	if c == nil || !hasDeadline(r.deployment) || r.deployment.Spec.Paused || c.Reason == reasonAvailable || c.Reason == reasonTimedOut {
		return 0
	}
	return max(time.Second, r.deadline(c).Sub(r.now)+time.Second)
}

// carryFailure shows a ReplicaSet's trouble to create Pods on the Deployment; the new one's says most.
func (r rollout) carryFailure(s *appsv1.DeploymentStatus) {
	sets := slices.Clone(r.old)
	if r.new != nil {
		sets = append(sets, r.new)
	}
	for _, set := range slices.Backward(sets) {
		for _, c := range set.Status.Conditions {
			if c.Type == appsv1.ReplicaSetReplicaFailure && c.Status == corev1.ConditionTrue {
				r.set(s, appsv1.DeploymentReplicaFailure, c.Status, c.Reason, c.Message)
				return
			}
		}
	}
	drop(s, appsv1.DeploymentReplicaFailure)
}

// pause says that the clock of the progress deadline stands still while the Deployment is paused.
func (r rollout) pause() []reconcile.Action {
	d := r.deployment
	c := progress(&d.Status)
	if !hasDeadline(d) || c != nil && c.Reason == reasonTimedOut {
		return nil
	}
	said := c != nil && c.Reason == reasonPaused
	next := d.DeepCopy()
	switch {
	case d.Spec.Paused && !said:
		r.set(&next.Status, appsv1.DeploymentProgressing, corev1.ConditionUnknown, reasonPaused, "Deployment is paused")
	case !d.Spec.Paused && said:
		r.set(&next.Status, appsv1.DeploymentProgressing, corev1.ConditionUnknown, reasonResumed, "Deployment is resumed")
	default:
		return nil
	}
	return []reconcile.Action{reconcile.Update(api.DeploymentKind, "status", next, progress(&next.Status).Message, nil)}
}

func hasDeadline(d *appsv1.Deployment) bool {
	return d.Spec.ProgressDeadlineSeconds != nil && *d.Spec.ProgressDeadlineSeconds != math.MaxInt32
}

func progress(s *appsv1.DeploymentStatus) *appsv1.DeploymentCondition {
	return condition(s, appsv1.DeploymentProgressing)
}

func condition(s *appsv1.DeploymentStatus, t appsv1.DeploymentConditionType) *appsv1.DeploymentCondition {
	for i := range s.Conditions {
		if s.Conditions[i].Type == t {
			return &s.Conditions[i]
		}
	}
	return nil
}

// set brings a condition about. The same status for the same reason is left alone, so that its times tell since when.
func (r rollout) set(s *appsv1.DeploymentStatus, t appsv1.DeploymentConditionType, status corev1.ConditionStatus, reason, message string) {
	if have := condition(s, t); have == nil || have.Status != status || have.Reason != reason {
		r.replace(s, t, status, reason, message)
	}
}

// setProgress is set for Progressing=True, but renews the time of the last update: from it the deadline counts.
func (r rollout) setProgress(s *appsv1.DeploymentStatus, reason, message string) {
	if hasDeadline(r.deployment) {
		r.replace(s, appsv1.DeploymentProgressing, corev1.ConditionTrue, reason, message)
	}
}

func (r rollout) replace(s *appsv1.DeploymentStatus, t appsv1.DeploymentConditionType, status corev1.ConditionStatus, reason, message string) {
	now := metav1.NewTime(r.now)
	c := appsv1.DeploymentCondition{Type: t, Status: status, Reason: reason, Message: message, LastUpdateTime: now, LastTransitionTime: now}
	if have := condition(s, t); have != nil && have.Status == status {
		c.LastTransitionTime = have.LastTransitionTime
	}
	drop(s, t)
	s.Conditions = append(s.Conditions, c)
}

func drop(s *appsv1.DeploymentStatus, t appsv1.DeploymentConditionType) {
	s.Conditions = slices.DeleteFunc(slices.Clone(s.Conditions), func(c appsv1.DeploymentCondition) bool { return c.Type == t })
}
