package deployment

import (
	appsv1 "k8s.io/api/apps/v1"

	"optimist/internal/reconcile"
)

func (r rollout) recreates() bool {
	return r.deployment.Spec.Strategy.Type == appsv1.RecreateDeploymentStrategyType
}

// oldRemain reports whether a Pod of an old template is asked for or has not ended yet, or may just be being made.
func (r rollout) oldRemain() bool {
	if unobserved(r.old) != "" {
		return true
	}
	for _, set := range r.old {
		if *set.Spec.Replicas > 0 || r.pods[set.Name] > 0 {
			return true
		}
	}
	return false
}

// stopOld takes all old Pods down. Nothing follows until the last has ended; that change calls us again.
func (r rollout) stopOld() []reconcile.Action {
	return r.stop("the strategy is Recreate: old pods go before new ones come")
}

func (r rollout) stop(why string) []reconcile.Action {
	var steps []reconcile.Action
	for _, set := range active(r.old) {
		steps = append(steps, r.resize(set, 0, why)...)
	}
	return steps
}
