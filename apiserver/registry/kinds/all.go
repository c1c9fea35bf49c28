package kinds

import (
	"slices"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/validation/path"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

// All returns the rules of every stored kind.
func All() []registry.Rules {
	all := []registry.Rules{
		namespaceRules(), nodeRules(), podRules(), serviceRules(), endpointsRules(), configMapRules(), secretRules(), eventRules(),
		deploymentRules(), replicaSetRules(), csrRules(), leaseRules(), endpointSliceRules(), priorityClassRules(),
	}
	for _, k := range api.Builtin.Kept() {
		if !slices.ContainsFunc(all, func(r registry.Rules) bool { return r.Kind.Is(k) }) {
			rules := registry.Rules{Kind: k, Validate: validate[api.Object](nil), Warnings: warnings, Prepare: clearStatus,
				Columns: []registry.Column{registry.NameColumn, registry.AgeColumn}}
			if k.Group == rbacv1.GroupName { // "system:discovery"
				rules.Name = path.ValidatePathSegmentName
			}
			all = append(all, rules)
		}
	}
	return all
}
