package replicaset

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"optimist/internal/api"
	"optimist/internal/reconcile"
)

// report plans to write the status if it changed. failure is why the Pods could not be brought to the wanted number, or nil.
func report(v view, now time.Time, failure error) []reconcile.Action {
	next := v.set.DeepCopy()
	next.Status = status(v, now, failure)
	if equality.Semantic.DeepEqual(next.Status, v.set.Status) {
		return nil
	}
	s := next.Status
	why := fmt.Sprintf("%d pods, %d ready, %d available", s.Replicas, s.ReadyReplicas, s.AvailableReplicas)
	return []reconcile.Action{reconcile.Update(api.ReplicaSetKind, "status", next, why, nil)}
}

func status(v view, now time.Time, failure error) appsv1.ReplicaSetStatus {
	s := appsv1.ReplicaSetStatus{ObservedGeneration: v.set.Generation, TerminatingReplicas: new(int32)}
	template := labels.SelectorFromSet(v.set.Spec.Template.Labels)
	for _, p := range v.pods {
		switch {
		case metav1.GetControllerOfNoCopy(p) == nil:
		case p.DeletionTimestamp != nil:
			if !api.Ended(p) {
				*s.TerminatingReplicas++
			}
		case isActive(p):
			s.Replicas++
			s.FullyLabeledReplicas += one(template.Matches(labels.Set(p.Labels)))
			s.ReadyReplicas += one(api.PodReady(p))
			s.AvailableReplicas += one(api.PodReady(p) && untilAvailable(v.set, p, now) <= 0)
		}
	}
	s.Conditions = conditions(v, now, failure)
	return s
}

// conditions are the old ones with ReplicaFailure brought up to date.
func conditions(v view, now time.Time, failure error) []appsv1.ReplicaSetCondition {
	var old appsv1.ReplicaSetCondition
	rest := slices.DeleteFunc(slices.Clone(v.set.Status.Conditions), func(c appsv1.ReplicaSetCondition) bool {
		if c.Type == appsv1.ReplicaSetReplicaFailure {
			old = c
		}
		return c.Type == appsv1.ReplicaSetReplicaFailure
	})
	if failure == nil {
		return rest
	}
	reason := "FailedCreate"
	if len(v.pods) > int(*v.set.Spec.Replicas) {
		reason = "FailedDelete"
	}
	c := appsv1.ReplicaSetCondition{Type: appsv1.ReplicaSetReplicaFailure, Status: corev1.ConditionTrue, Reason: reason,
		Message: failure.Error(), LastTransitionTime: metav1.NewTime(now)}
	if old.Status == c.Status && old.Reason == c.Reason {
		c.LastTransitionTime = old.LastTransitionTime
	}
	return append(rest, c)
}

// nextAvailable is how long until the next ready Pod has been so for minReadySeconds; 0 = none is waiting.
func nextAvailable(v view, now time.Time) time.Duration {
	var next time.Duration
	for _, p := range v.pods {
		if !isActive(p) || !api.PodReady(p) {
			continue
		}
		if wait := untilAvailable(v.set, p, now); wait > 0 {
			next = min(cmp.Or(next, wait), wait)
		}
	}
	return next
}

// untilAvailable is how much longer a ready Pod has to stay so; not above 0 = it is available.
func untilAvailable(set *appsv1.ReplicaSet, p *corev1.Pod, now time.Time) time.Duration {
	need := time.Duration(set.Spec.MinReadySeconds) * time.Second
	if need == 0 {
		return 0 // whatever the node's clock says
	}
	return api.PodCondition(&p.Status, corev1.PodReady).LastTransitionTime.Add(need).Sub(now)
}

func one(yes bool) int32 {
	if yes {
		return 1
	}
	return 0
}
