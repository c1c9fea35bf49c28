package kinds

import (
	coordinationv1 "k8s.io/api/coordination/v1"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

func leaseRules() registry.Rules {
	type lease = coordinationv1.Lease
	return stored[*lease](api.LeaseKind, nil, shown[*lease]("Holder", "spec.holderIdentity", "", "The identity of the holder of the lease."), registry.AgeColumn)
}

var leaseChecks = []rule{
	fields[coordinationv1.LeaseSpec]("leaseDurationSeconds", positive),
	fields[coordinationv1.LeaseSpec]("leaseTransitions", notNegative),
	fields[coordinationv1.LeaseSpec]("strategy", qualified),
	forbidden("preferredHolder", "may only be specified if `strategy` is defined", func(s *coordinationv1.LeaseSpec) bool {
		return deref(s.PreferredHolder) != "" && deref(s.Strategy) == ""
	}),
}
