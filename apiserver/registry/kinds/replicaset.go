package kinds

import (
	"context"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

func replicaSetRules() registry.Rules {
	columns := []registry.Column{
		nameColumn(),
		column("Desired", "integer", "Number of desired pods.", func(r *appsv1.ReplicaSet) any { return int64(deref(r.Spec.Replicas)) }),
		column("Current", "integer", "Number of pods that exist.", func(r *appsv1.ReplicaSet) any { return int64(r.Status.Replicas) }),
		column("Ready", "integer", "Number of pods that are ready.", func(r *appsv1.ReplicaSet) any { return int64(r.Status.ReadyReplicas) }),
		ageColumn(),
	}
	return registry.Rules{
		Kind:    api.ReplicaSetKind,
		Default: func(o api.Object) { defaultReplicaSet(o.(*appsv1.ReplicaSet)) },
		Prepare: func(_ context.Context, _ string, o, old api.Object) {
			if old == nil {
				o.(*appsv1.ReplicaSet).Status = appsv1.ReplicaSetStatus{}
			}
		},
		Validate: validate(validateReplicaSet),
		Warnings: podWarnings(templateStored("spec.template."), "spec.template.", func(r *appsv1.ReplicaSet) *corev1.PodSpec { return &r.Spec.Template.Spec }),
		Subs:     map[string]registry.Sub{"scale": scaleOf(replicaSetScale)},
		Fields: map[string]func(api.Object) string{
			"status.replicas": selects(func(r *appsv1.ReplicaSet) string { return strconv.Itoa(int(r.Status.Replicas)) }),
		},
		Columns: append(columns, templateColumns(func(r *appsv1.ReplicaSet) (*corev1.PodTemplateSpec, *metav1.LabelSelector) {
			return &r.Spec.Template, r.Spec.Selector
		})...),
	}
}

func defaultReplicaSet(r *appsv1.ReplicaSet) {
	fillPtr(&r.Spec.Replicas, 1)
	defaultPodSpec(&r.Spec.Template.Spec)
}

func replicaSetScale(r *appsv1.ReplicaSet) scaled {
	return scaled{wanted: &r.Spec.Replicas, have: r.Status.Replicas, selector: r.Spec.Selector}
}

func validateReplicaSet(sub string, r, old *appsv1.ReplicaSet) (faults field.ErrorList) {
	if sub == "status" {
		return validateReplicaCounts(r.Status, field.NewPath("status"))
	}
	spec := field.NewPath("spec")
	faults = nonNegative(spec.Child("replicas"), deref(r.Spec.Replicas))
	faults = append(faults, nonNegative(spec.Child("minReadySeconds"), r.Spec.MinReadySeconds)...)
	faults = append(faults, validateOwnSelector(r.Spec.Selector, spec.Child("selector"))...)
	faults = append(faults, validateOwnedTemplate(&r.Spec.Template, r.Spec.Selector, spec.Child("template"))...)
	if old != nil {
		faults = append(faults, immutable(spec.Child("selector"), r.Spec.Selector, old.Spec.Selector)...)
	}
	return faults
}

func validateReplicaCounts(s appsv1.ReplicaSetStatus, p *field.Path) (faults field.ErrorList) {
	counts := []struct {
		name string
		n    int32
	}{{"fullyLabeledReplicas", s.FullyLabeledReplicas}, {"readyReplicas", s.ReadyReplicas}, {"availableReplicas", s.AvailableReplicas}}
	faults = append(nonNegative(p.Child("replicas"), s.Replicas), nonNegative(p.Child("observedGeneration"), s.ObservedGeneration)...)
	for _, c := range counts {
		faults = append(faults, nonNegative(p.Child(c.name), c.n)...)
		if c.n > s.Replicas {
			faults = append(faults, field.Invalid(p.Child(c.name), c.n, "cannot be greater than status.replicas"))
		}
	}
	if s.AvailableReplicas > s.ReadyReplicas {
		faults = append(faults, field.Invalid(p.Child("availableReplicas"), s.AvailableReplicas, "cannot be greater than readyReplicas"))
	}
	return faults
}
