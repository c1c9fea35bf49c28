package kinds

import (
	"reflect"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var (
	taintEffect = oneOf(corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute)
	weight      = between(1, 100, "must be in the range 1-100")
	inclusion   = oneOf(corev1.NodeInclusionPolicyIgnore, corev1.NodeInclusionPolicyHonor)
)

// schedulingChecks are the faults of what says where pods go.
var schedulingChecks = []rule{
	fields[corev1.NodeSpec]("taints", distinct("", func(t corev1.Taint) corev1.Taint { return corev1.Taint{Key: t.Key, Effect: t.Effect} })),
	fields[corev1.Taint]("key", labelKey),
	fields[corev1.Taint]("value", text(validation.IsValidLabelValue)),
	fields[corev1.Taint]("effect", taintEffect),
	fields[corev1.Toleration]("key", optional(labelKey)),
	fields[corev1.Toleration]("effect", optional(taintEffect)),
	fields[corev1.Toleration]("operator", optional(oneOf(corev1.TolerationOpEqual, corev1.TolerationOpExists))),
	each(tolerates),

	fields[corev1.NodeSelector]("nodeSelectorTerms", required()),
	fields[corev1.PreferredSchedulingTerm]("weight", weight),
	fields[corev1.WeightedPodAffinityTerm]("weight", weight),
	each(nodeTerm),
	labelSelector,
	fields[corev1.PodAffinityTerm]("topologyKey", required(labelKey)),
	fields[corev1.PodAffinityTerm]("namespaces", every(label)),
	fields[corev1.PodAffinityTerm]("matchLabelKeys mismatchLabelKeys", every(labelKey)),
	fields[corev1.TopologySpreadConstraint]("maxSkew minDomains", between(1, 1<<31, "must be greater than zero")),
	fields[corev1.TopologySpreadConstraint]("topologyKey", required()),
	fields[corev1.TopologySpreadConstraint]("whenUnsatisfiable", oneOfKnown(corev1.DoNotSchedule, corev1.ScheduleAnyway)),
	fields[corev1.TopologySpreadConstraint]("nodeAffinityPolicy nodeTaintsPolicy", inclusion),
	fields[corev1.TopologySpreadConstraint]("matchLabelKeys", every(labelKey)),
	fields[corev1.PodSpec]("topologySpreadConstraints", distinct("{topologyKey, whenUnsatisfiable}", func(c corev1.TopologySpreadConstraint) string {
		return "{" + c.TopologyKey + ", " + string(c.WhenUnsatisfiable) + "}"
	})),
}

func tolerates(at *field.Path, t *corev1.Toleration) field.ErrorList {
	operator, exists := at.Child("operator"), t.Operator == corev1.TolerationOpExists
	faults := when(t.Key == "" && !exists, field.Invalid(operator, t.Operator, "operator must be Exists when `key` is empty, which means \"match all values and all keys\""))
	faults = append(faults, when(exists && t.Value != "", field.Invalid(operator, t, "value must be empty when `operator` is 'Exists'"))...)
	faults = append(faults, when(t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute, field.Invalid(at.Child("effect"), t.Effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"))...)
	if !exists {
		faults = append(faults, invalid(operator, t.Value, validation.IsValidLabelValue(t.Value))...)
	}
	return faults
}

// nodeTerm checks what a node must have: labels, or one of its fields, which is its name.
func nodeTerm(at *field.Path, t *corev1.NodeSelectorTerm) (faults field.ErrorList) {
	for i, r := range t.MatchExpressions {
		p := at.Child("matchExpressions").Index(i)
		faults = append(faults, labelKey(p.Child("key"), reflect.ValueOf(r.Key))...)
		faults = append(faults, every(text(validation.IsValidLabelValue))(p.Child("values"), reflect.ValueOf(r.Values))...)
		faults = append(faults, operands(p, r)...)
	}
	for i, r := range t.MatchFields {
		p := at.Child("matchFields").Index(i)
		in := r.Operator == corev1.NodeSelectorOpIn || r.Operator == corev1.NodeSelectorOpNotIn
		faults = append(faults, when(!in, field.Invalid(p.Child("operator"), r.Operator, "not a valid selector operator"))...)
		faults = append(faults, when(in && len(r.Values) != 1, field.Required(p.Child("values"), "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"))...)
		faults = append(faults, when(r.Key != metav1.ObjectNameField, field.Invalid(p.Child("key"), r.Key, "not a valid field selector key"))...)
		faults = append(faults, every(subdomain)(p.Child("values"), reflect.ValueOf(r.Values))...)
	}
	return faults
}

func operands(at *field.Path, r corev1.NodeSelectorRequirement) field.ErrorList {
	n, values := len(r.Values), at.Child("values")
	switch r.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		return when(n == 0, field.Required(values, "must be specified when `operator` is 'In' or 'NotIn'"))
	case corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist:
		return when(n > 0, field.Forbidden(values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"))
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		return when(n != 1, field.Required(values, "must be specified single value when `operator` is 'Lt' or 'Gt'"))
	}
	return field.ErrorList{field.Invalid(at.Child("operator"), r.Operator, "not a valid selector operator")}
}
