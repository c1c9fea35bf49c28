package kinds

import (
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

func deploymentRules() registry.Rules {
	return registry.Rules{
		Kind:     api.DeploymentKind,
		Default:  func(o api.Object) { defaultDeployment(o.(*appsv1.Deployment)) },
		Prepare:  clearStatus,
		Validate: validate(deploymentStays),
		Warnings: warnings,
		Subs:     map[string]registry.Sub{"scale": scaleOf(deploymentParts)},
		Columns: workloadColumns(deploymentParts,
			registry.NameColumn,
			column("Ready", "string", "Number of pods that are ready, of those desired.", func(d *appsv1.Deployment) any {
				return fmt.Sprintf("%d/%d", d.Status.ReadyReplicas, deref(d.Spec.Replicas))
			}),
			counted[*appsv1.Deployment]("Up-to-date", "status.updatedReplicas", "Number of pods made from the newest template."),
			counted[*appsv1.Deployment]("Available", "status.availableReplicas", "Number of pods ready for at least minReadySeconds."),
			registry.AgeColumn),
	}
}

func defaultDeployment(d *appsv1.Deployment) {
	s := &d.Spec
	fillPtr(&s.Replicas, 1)
	fillPtr(&s.RevisionHistoryLimit, 10)
	fillPtr(&s.ProgressDeadlineSeconds, 600)
	fill(&s.Strategy.Type, appsv1.RollingUpdateDeploymentStrategyType)
	if s.Strategy.Type == appsv1.RollingUpdateDeploymentStrategyType {
		fillPtr(&s.Strategy.RollingUpdate, appsv1.RollingUpdateDeployment{})
		fillPtr(&s.Strategy.RollingUpdate.MaxUnavailable, intstr.FromString("25%"))
		fillPtr(&s.Strategy.RollingUpdate.MaxSurge, intstr.FromString("25%"))
	}
	defaultPodSpec(&s.Template.Spec)
}

func deploymentParts(d *appsv1.Deployment) workload {
	return workload{wanted: &d.Spec.Replicas, have: d.Status.Replicas, selector: d.Spec.Selector, template: &d.Spec.Template}
}

// deploymentStays: the selector says what is whose, and the count of collisions makes names, so it never falls.
func deploymentStays(sub string, d, old *appsv1.Deployment) field.ErrorList {
	if sub == "" {
		return immutable(field.NewPath("spec", "selector"), d.Spec.Selector, old.Spec.Selector)
	}
	now, before := d.Status.CollisionCount, old.Status.CollisionCount
	return when(before != nil && (now == nil || *now < *before), field.Invalid(field.NewPath("status", "collisionCount"), now, "cannot be decremented"))
}
