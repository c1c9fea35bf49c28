package kinds

import (
	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

func leaseRules() registry.Rules {
	return registry.Rules{
		Kind:     api.LeaseKind,
		Validate: validate(validateLease),
		Warnings: stored[*coordinationv1.Lease](leaseStored),
		Columns: []registry.Column{
			nameColumn(),
			column("Holder", "string", "The identity of the holder of the lease.", func(l *coordinationv1.Lease) any { return deref(l.Spec.HolderIdentity) }),
			ageColumn(),
		},
	}
}

func validateLease(_ string, l, _ *coordinationv1.Lease) (faults field.ErrorList) {
	s, p := &l.Spec, field.NewPath("spec")
	if s.LeaseDurationSeconds != nil && *s.LeaseDurationSeconds <= 0 {
		faults = append(faults, field.Invalid(p.Child("leaseDurationSeconds"), *s.LeaseDurationSeconds, "must be greater than 0"))
	}
	if s.LeaseTransitions != nil {
		faults = append(faults, nonNegative(p.Child("leaseTransitions"), *s.LeaseTransitions)...)
	}
	return append(faults, validateLeaseStrategy(s, p)...)
}

func validateLeaseStrategy(s *coordinationv1.LeaseSpec, p *field.Path) (faults field.ErrorList) {
	if s.Strategy != nil {
		faults = append(faults, invalid(p.Child("strategy"), *s.Strategy, validation.IsQualifiedName(string(*s.Strategy)))...)
	}
	if s.PreferredHolder != nil && *s.PreferredHolder != "" && (s.Strategy == nil || *s.Strategy == "") {
		faults = append(faults, field.Forbidden(p.Child("preferredHolder"), "may only be specified if `strategy` is defined"))
	}
	return faults
}
