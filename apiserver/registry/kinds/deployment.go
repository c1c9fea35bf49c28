package kinds

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

func deploymentRules() registry.Rules {
	type deployment = appsv1.Deployment
	return workloadRules(api.DeploymentKind, deploymentStays, func(d *deployment) workload {
		return workload{wanted: &d.Spec.Replicas, have: d.Status.Replicas, selector: d.Spec.Selector, template: &d.Spec.Template}
	}, readyOf(func(d *deployment) (int32, *int32) { return d.Status.ReadyReplicas, d.Spec.Replicas }),
		counted[*deployment]("Up-to-date", "status.updatedReplicas", "Number of pods made from the newest template."),
		counted[*deployment]("Available", "status.availableReplicas", "Number of pods ready for at least minReadySeconds."),
		registry.AgeColumn)
}

// deploymentStays: the selector says what is whose, and the count of collisions makes names, so it never falls.
func deploymentStays(sub string, d, old *appsv1.Deployment) field.ErrorList {
	if sub == "" {
		return immutable(field.NewPath("spec", "selector"), d.Spec.Selector, old.Spec.Selector)
	}
	now, before := d.Status.CollisionCount, old.Status.CollisionCount
	return when(before != nil && (now == nil || *now < *before), field.Invalid(field.NewPath("status", "collisionCount"), now, "cannot be decremented"))
}
