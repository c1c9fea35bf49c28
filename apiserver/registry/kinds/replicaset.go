package kinds

import (
	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

func replicaSetRules() registry.Rules {
	return registry.Rules{
		Kind: api.ReplicaSetKind,
		Default: func(o api.Object) {
			s := &o.(*appsv1.ReplicaSet).Spec
			fillPtr(&s.Replicas, 1)
			defaultPodSpec(&s.Template.Spec)
		},
		Prepare: clearStatus,
		Validate: validate(func(_ string, r, old *appsv1.ReplicaSet) field.ErrorList {
			return immutable(field.NewPath("spec", "selector"), r.Spec.Selector, old.Spec.Selector)
		}),
		Warnings: warnings,
		Subs:     map[string]registry.Sub{"scale": scaleOf(replicaSetParts)},
		Fields:   selectable[*appsv1.ReplicaSet]("status.replicas"),
		Columns: workloadColumns(replicaSetParts,
			registry.NameColumn,
			counted[*appsv1.ReplicaSet]("Desired", "spec.replicas", "Number of desired pods."),
			counted[*appsv1.ReplicaSet]("Current", "status.replicas", "Number of pods that exist."),
			counted[*appsv1.ReplicaSet]("Ready", "status.readyReplicas", "Number of pods that are ready."),
			registry.AgeColumn),
	}
}

func replicaSetParts(r *appsv1.ReplicaSet) workload {
	return workload{wanted: &r.Spec.Replicas, have: r.Status.Replicas, selector: r.Spec.Selector, template: &r.Spec.Template}
}
