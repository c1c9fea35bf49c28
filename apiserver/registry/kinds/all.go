package kinds

import "optimist/apiserver/registry"

// All returns the rules of every stored kind, in the catalogue's order.
func All() []registry.Rules {
	return []registry.Rules{
		namespaceRules(), nodeRules(), podRules(), serviceRules(), endpointsRules(), configMapRules(), secretRules(), eventRules(),
		deploymentRules(), replicaSetRules(), csrRules(), leaseRules(), endpointSliceRules(), priorityClassRules(),
	}
}
