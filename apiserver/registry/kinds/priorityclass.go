package kinds

import (
	"fmt"
	"strings"

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
		Validate: validate(func(_ string, c, old *schedulingv1.PriorityClass) field.ErrorList {
			return append(when(c.Value != old.Value, field.Forbidden(field.NewPath("value"), "may not be changed in an update.")),
				immutable(field.NewPath("preemptionPolicy"), c.PreemptionPolicy, old.PreemptionPolicy)...)
		}),
		Claims: claimPriorityClass,
		Columns: []registry.Column{
			nameColumn,
			counted[*schedulingv1.PriorityClass]("Value", "value", "The priority that pods of the class get."),
			column("Global-Default", "boolean", "Whether pods that name no class get this one.", func(c *schedulingv1.PriorityClass) any { return c.GlobalDefault }),
			ageColumn,
			shown[*schedulingv1.PriorityClass]("PreemptionPolicy", "preemptionPolicy", "", "Whether pods of the class may displace others."),
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

var priorityClassChecks = []rule{
	fields[schedulingv1.PriorityClass]("preemptionPolicy", oneOf(corev1.PreemptLowerPriority, corev1.PreemptNever)),
	each(func(_ *field.Path, c *schedulingv1.PriorityClass) field.ErrorList {
		value, known := systemPriorities[c.Name]
		system := strings.HasPrefix(c.Name, systemPriorityPrefix)
		return append(when(system && (!known || value != c.Value), field.Forbidden(field.NewPath("metadata", "name"),
			fmt.Sprintf("priority class names with '%s' prefix are reserved for system use only", systemPriorityPrefix))),
			when(!system && c.Value > highestUserPriority, field.Forbidden(field.NewPath("value"), fmt.Sprintf("maximum allowed value of a user defined priority is %d", highestUserPriority)))...)
	}),
}
