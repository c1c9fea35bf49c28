package kinds

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

func priorityClassRules() registry.Rules {
	return registry.Rules{
		Kind: api.PriorityClassKind,
		Default: func(o api.Object) {
			fillPtr(&o.(*schedulingv1.PriorityClass).PreemptionPolicy, corev1.PreemptLowerPriority)
		},
		Validate: validate(validatePriorityClass),
		Claims:   claimPriorityClass,
		Columns: []registry.Column{
			nameColumn(),
			column("Value", "integer", "The priority that pods of the class get.", func(c *schedulingv1.PriorityClass) any { return int64(c.Value) }),
			column("Global-Default", "boolean", "Whether pods that name no class get this one.", func(c *schedulingv1.PriorityClass) any { return c.GlobalDefault }),
			ageColumn(),
			column("PreemptionPolicy", "string", "Whether pods of the class may displace others.", func(c *schedulingv1.PriorityClass) any { return string(deref(c.PreemptionPolicy)) }),
		},
	}
}

const (
	systemPriorityPrefix = "system-"
	highestUserPriority  = 1_000_000_000
)

// systemPriorities are the classes that the API server makes at its start; nobody may make others of that prefix, or give these another value.
var systemPriorities = map[string]int32{
	"system-node-critical":    2*highestUserPriority + 1000,
	"system-cluster-critical": 2 * highestUserPriority,
}

func validatePriorityClass(_ string, c, old *schedulingv1.PriorityClass) (faults field.ErrorList) {
	if old != nil {
		return append(validatePreemption(c, field.NewPath("preemptionPolicy")), priorityClassStays(c, old)...)
	}
	if len(c.Name) >= len(systemPriorityPrefix) && c.Name[:len(systemPriorityPrefix)] == systemPriorityPrefix {
		if value, known := systemPriorities[c.Name]; !known || value != c.Value {
			faults = append(faults, field.Forbidden(field.NewPath("metadata", "name"),
				fmt.Sprintf("priority class names with '%s' prefix are reserved for system use only", systemPriorityPrefix)))
		}
	} else if c.Value > highestUserPriority {
		faults = append(faults, field.Forbidden(field.NewPath("value"),
			fmt.Sprintf("maximum allowed value of a user defined priority is %d", highestUserPriority)))
	}
	return append(faults, validatePreemption(c, field.NewPath("preemptionPolicy"))...)
}

func validatePreemption(c *schedulingv1.PriorityClass, p *field.Path) field.ErrorList {
	return optionalOneOf(p, c.PreemptionPolicy, corev1.PreemptLowerPriority, corev1.PreemptNever)
}

func priorityClassStays(c, old *schedulingv1.PriorityClass) (faults field.ErrorList) {
	if c.Value != old.Value {
		faults = append(faults, field.Forbidden(field.NewPath("value"), "may not be changed in an update."))
	}
	return append(faults, immutable(field.NewPath("preemptionPolicy"), c.PreemptionPolicy, old.PreemptionPolicy)...)
}
