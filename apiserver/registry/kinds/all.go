package kinds

import (
	"slices"

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
			all = append(all, registry.Rules{Kind: k, Validate: validate[api.Object](nil), Warnings: warnings, Prepare: clearStatus,
				Columns: []registry.Column{registry.NameColumn, registry.AgeColumn}})
		}
	}
	return all
}
