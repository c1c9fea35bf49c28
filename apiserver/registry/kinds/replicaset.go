package kinds

import (
	appsv1 "k8s.io/api/apps/v1"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

func replicaSetRules() registry.Rules {
	r := workloadRules(api.ReplicaSetKind, fixed[*appsv1.ReplicaSet]("spec.selector"), func(r *appsv1.ReplicaSet) workload {
		return workload{wanted: &r.Spec.Replicas, have: r.Status.Replicas, selector: r.Spec.Selector, template: &r.Spec.Template}
	}, replicaColumns[*appsv1.ReplicaSet]()...)
	r.Fields = selectable[*appsv1.ReplicaSet]("status.replicas")
	return r
}
