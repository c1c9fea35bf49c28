package kinds

import (
	"context"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

func deploymentRules() registry.Rules {
	columns := []registry.Column{
		nameColumn(),
		column("Ready", "string", "Number of pods that are ready, of those desired.", func(d *appsv1.Deployment) any {
			return fmt.Sprintf("%d/%d", d.Status.ReadyReplicas, deref(d.Spec.Replicas))
		}),
		column("Up-to-date", "integer", "Number of pods made from the newest template.", func(d *appsv1.Deployment) any { return int64(d.Status.UpdatedReplicas) }),
		column("Available", "integer", "Number of pods ready for at least minReadySeconds.", func(d *appsv1.Deployment) any { return int64(d.Status.AvailableReplicas) }),
		ageColumn(),
	}
	return registry.Rules{
		Kind:    api.DeploymentKind,
		Default: func(o api.Object) { defaultDeployment(o.(*appsv1.Deployment)) },
		Prepare: func(_ context.Context, _ string, o, old api.Object) {
			if old == nil {
				o.(*appsv1.Deployment).Status = appsv1.DeploymentStatus{}
			}
		},
		Validate: validate(validateDeployment),
		Warnings: podWarnings(templateStored("spec.template."), "spec.template.", func(d *appsv1.Deployment) *corev1.PodSpec { return &d.Spec.Template.Spec }),
		Subs:     map[string]registry.Sub{"scale": scaleOf(deploymentScale)},
		Columns: append(columns, templateColumns(func(d *appsv1.Deployment) (*corev1.PodTemplateSpec, *metav1.LabelSelector) {
			return &d.Spec.Template, d.Spec.Selector
		})...),
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

func deploymentScale(d *appsv1.Deployment) scaled {
	return scaled{wanted: &d.Spec.Replicas, have: d.Status.Replicas, selector: d.Spec.Selector}
}

func validateDeployment(sub string, d, old *appsv1.Deployment) (faults field.ErrorList) {
	if sub == "status" {
		return validateDeploymentStatus(&d.Status, old, field.NewPath("status"))
	}
	s, p := &d.Spec, field.NewPath("spec")
	faults = nonNegative(p.Child("replicas"), deref(s.Replicas))
	faults = append(faults, validateOwnSelector(s.Selector, p.Child("selector"))...)
	faults = append(faults, validateOwnedTemplate(&s.Template, s.Selector, p.Child("template"))...)
	faults = append(faults, validateStrategy(s.Strategy, p.Child("strategy"))...)
	faults = append(faults, nonNegative(p.Child("minReadySeconds"), s.MinReadySeconds)...)
	faults = append(faults, nonNegative(p.Child("revisionHistoryLimit"), deref(s.RevisionHistoryLimit))...)
	faults = append(faults, validateProgressDeadline(s, p.Child("progressDeadlineSeconds"))...)
	if old != nil {
		faults = append(faults, immutable(p.Child("selector"), s.Selector, old.Spec.Selector)...)
	}
	return faults
}

func validateProgressDeadline(s *appsv1.DeploymentSpec, p *field.Path) field.ErrorList {
	if s.ProgressDeadlineSeconds == nil {
		return nil
	}
	faults := nonNegative(p, *s.ProgressDeadlineSeconds)
	if *s.ProgressDeadlineSeconds <= s.MinReadySeconds {
		faults = append(faults, field.Invalid(p, *s.ProgressDeadlineSeconds, "must be greater than minReadySeconds"))
	}
	return faults
}

func validateStrategy(s appsv1.DeploymentStrategy, p *field.Path) field.ErrorList {
	switch s.Type {
	case appsv1.RecreateDeploymentStrategyType:
		if s.RollingUpdate != nil {
			return field.ErrorList{field.Forbidden(p.Child("rollingUpdate"), "may not be specified when strategy `type` is 'Recreate'")}
		}
	case appsv1.RollingUpdateDeploymentStrategyType:
		if s.RollingUpdate == nil {
			return field.ErrorList{field.Required(p.Child("rollingUpdate"), "this should be defaulted and never be nil")}
		}
		return validateRollingUpdate(s.RollingUpdate, p.Child("rollingUpdate"))
	default:
		return field.ErrorList{field.NotSupported(p.Child("type"), s.Type,
			[]appsv1.DeploymentStrategyType{appsv1.RecreateDeploymentStrategyType, appsv1.RollingUpdateDeploymentStrategyType})}
	}
	return nil
}

// validateRollingUpdate: the two bounds may not both be zero, or nothing could ever move.
func validateRollingUpdate(r *appsv1.RollingUpdateDeployment, p *field.Path) (faults field.ErrorList) {
	unavailable, surge := deref(r.MaxUnavailable), deref(r.MaxSurge)
	faults = append(intOrPercent(p.Child("maxUnavailable"), unavailable), intOrPercent(p.Child("maxSurge"), surge)...)
	if intOf(unavailable) == 0 && intOf(surge) == 0 {
		faults = append(faults, field.Invalid(p.Child("maxUnavailable"), unavailable, "may not be 0 when `maxSurge` is 0"))
	}
	return append(faults, atMostAll(p.Child("maxUnavailable"), unavailable)...)
}

func validateDeploymentStatus(s *appsv1.DeploymentStatus, old *appsv1.Deployment, p *field.Path) (faults field.ErrorList) {
	faults = nonNegative(p.Child("observedGeneration"), s.ObservedGeneration)
	counts := []struct {
		name string
		n    int32
	}{{"updatedReplicas", s.UpdatedReplicas}, {"readyReplicas", s.ReadyReplicas}, {"availableReplicas", s.AvailableReplicas}}
	faults = append(faults, nonNegative(p.Child("replicas"), s.Replicas)...)
	faults = append(faults, nonNegative(p.Child("unavailableReplicas"), s.UnavailableReplicas)...)
	for _, c := range counts {
		faults = append(faults, nonNegative(p.Child(c.name), c.n)...)
		if c.n > s.Replicas {
			faults = append(faults, field.Invalid(p.Child(c.name), c.n, "cannot be greater than status.replicas"))
		}
	}
	if s.AvailableReplicas > s.ReadyReplicas {
		faults = append(faults, field.Invalid(p.Child("availableReplicas"), s.AvailableReplicas, "cannot be greater than readyReplicas"))
	}
	return append(faults, validateCollisions(s.CollisionCount, old, p.Child("collisionCount"))...)
}

// validateCollisions: the count makes names, so it never falls.
func validateCollisions(n *int32, old *appsv1.Deployment, p *field.Path) (faults field.ErrorList) {
	if n != nil {
		faults = nonNegative(p, *n)
	}
	if old == nil || old.Status.CollisionCount == nil {
		return faults
	}
	if n == nil || *n < *old.Status.CollisionCount {
		faults = append(faults, field.Invalid(p, n, "cannot be decremented"))
	}
	return faults
}
