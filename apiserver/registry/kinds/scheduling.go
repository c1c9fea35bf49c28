package kinds

import (
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var taintEffects = []corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute}

func validateTaints(taints []corev1.Taint, p *field.Path) (faults field.ErrorList) {
	type identity struct {
		key    string
		effect corev1.TaintEffect
	}
	seen := map[identity]bool{}
	for i, t := range taints {
		at := p.Index(i)
		faults = append(faults, metavalidation.ValidateLabelName(t.Key, at.Child("key"))...)
		faults = append(faults, invalid(at.Child("value"), t.Value, validation.IsValidLabelValue(t.Value))...)
		faults = append(faults, oneOf(at.Child("effect"), t.Effect, taintEffects...)...)
		if id := (identity{t.Key, t.Effect}); seen[id] {
			faults = append(faults, field.Duplicate(at, t))
		} else {
			seen[id] = true
		}
	}
	return faults
}

func validateTolerations(tolerations []corev1.Toleration, p *field.Path) (faults field.ErrorList) {
	for i, t := range tolerations {
		at := p.Index(i)
		if t.Key != "" {
			faults = append(faults, metavalidation.ValidateLabelName(t.Key, at.Child("key"))...)
		}
		if t.Key == "" && t.Operator != corev1.TolerationOpExists {
			faults = append(faults, field.Invalid(at.Child("operator"), t.Operator, "operator must be Exists when `key` is empty, which means \"match all values and all keys\""))
		}
		if t.TolerationSeconds != nil && t.Effect != corev1.TaintEffectNoExecute {
			faults = append(faults, field.Invalid(at.Child("effect"), t.Effect, "effect must be 'NoExecute' when `tolerationSeconds` is set"))
		}
		if t.Effect != "" {
			faults = append(faults, oneOf(at.Child("effect"), t.Effect, taintEffects...)...)
		}
		faults = append(faults, validateTolerationValue(t, at)...)
	}
	return faults
}

func validateTolerationValue(t corev1.Toleration, p *field.Path) field.ErrorList {
	operator := p.Child("operator")
	switch t.Operator {
	case corev1.TolerationOpEqual, "":
		return invalid(operator, t.Value, validation.IsValidLabelValue(t.Value))
	case corev1.TolerationOpExists:
		if t.Value != "" {
			return field.ErrorList{field.Invalid(operator, t, "value must be empty when `operator` is 'Exists'")}
		}
		return nil
	}
	return field.ErrorList{field.NotSupported(operator, t.Operator, []corev1.TolerationOperator{corev1.TolerationOpEqual, corev1.TolerationOpExists})}
}

func validateAffinity(a *corev1.Affinity, p *field.Path) (faults field.ErrorList) {
	if a == nil {
		return nil
	}
	if n := a.NodeAffinity; n != nil {
		faults = append(faults, validateNodeAffinity(n, p.Child("nodeAffinity"))...)
	}
	if f := a.PodAffinity; f != nil {
		faults = append(faults, validatePodAffinity(f.RequiredDuringSchedulingIgnoredDuringExecution, f.PreferredDuringSchedulingIgnoredDuringExecution, p.Child("podAffinity"))...)
	}
	if f := a.PodAntiAffinity; f != nil {
		faults = append(faults, validatePodAffinity(f.RequiredDuringSchedulingIgnoredDuringExecution, f.PreferredDuringSchedulingIgnoredDuringExecution, p.Child("podAntiAffinity"))...)
	}
	return faults
}

const (
	requiredTerms  = "requiredDuringSchedulingIgnoredDuringExecution"
	preferredTerms = "preferredDuringSchedulingIgnoredDuringExecution"
)

func validateNodeAffinity(n *corev1.NodeAffinity, p *field.Path) (faults field.ErrorList) {
	if s := n.RequiredDuringSchedulingIgnoredDuringExecution; s != nil {
		at := p.Child(requiredTerms, "nodeSelectorTerms")
		if len(s.NodeSelectorTerms) == 0 {
			faults = append(faults, field.Required(at, "must have at least one node selector term"))
		}
		for i, term := range s.NodeSelectorTerms {
			faults = append(faults, validateNodeTerm(term, at.Index(i))...)
		}
	}
	for i, weighted := range n.PreferredDuringSchedulingIgnoredDuringExecution {
		at := p.Child(preferredTerms).Index(i)
		faults = append(faults, validateWeight(weighted.Weight, at.Child("weight"))...)
		faults = append(faults, validateNodeTerm(weighted.Preference, at.Child("preference"))...)
	}
	return faults
}

func validateWeight(w int32, p *field.Path) field.ErrorList {
	if w >= 1 && w <= 100 {
		return nil
	}
	return field.ErrorList{field.Invalid(p, w, "must be in the range 1-100")}
}

func validateNodeTerm(t corev1.NodeSelectorTerm, p *field.Path) (faults field.ErrorList) {
	for i, r := range t.MatchExpressions {
		at := p.Child("matchExpressions").Index(i)
		faults = append(faults, validateNodeRequirement(r, at)...)
		faults = append(faults, metavalidation.ValidateLabelName(r.Key, at.Child("key"))...)
		for j, value := range r.Values {
			faults = append(faults, invalid(at.Child("values").Index(j), value, validation.IsValidLabelValue(value))...)
		}
	}
	for i, r := range t.MatchFields {
		faults = append(faults, validateNodeField(r, p.Child("matchFields").Index(i))...)
	}
	return faults
}

func validateNodeRequirement(r corev1.NodeSelectorRequirement, p *field.Path) field.ErrorList {
	switch values := p.Child("values"); r.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if len(r.Values) == 0 {
			return field.ErrorList{field.Required(values, "must be specified when `operator` is 'In' or 'NotIn'")}
		}
	case corev1.NodeSelectorOpExists, corev1.NodeSelectorOpDoesNotExist:
		if len(r.Values) > 0 {
			return field.ErrorList{field.Forbidden(values, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'")}
		}
	case corev1.NodeSelectorOpGt, corev1.NodeSelectorOpLt:
		if len(r.Values) != 1 {
			return field.ErrorList{field.Required(values, "must be specified single value when `operator` is 'Lt' or 'Gt'")}
		}
	default:
		return field.ErrorList{field.Invalid(p.Child("operator"), r.Operator, "not a valid selector operator")}
	}
	return nil
}

// validateNodeField: of a node's fields only its name can be asked for.
func validateNodeField(r corev1.NodeSelectorRequirement, p *field.Path) (faults field.ErrorList) {
	switch r.Operator {
	case corev1.NodeSelectorOpIn, corev1.NodeSelectorOpNotIn:
		if len(r.Values) != 1 {
			faults = append(faults, field.Required(p.Child("values"), "must be only one value when `operator` is 'In' or 'NotIn' for node field selector"))
		}
	default:
		faults = append(faults, field.Invalid(p.Child("operator"), r.Operator, "not a valid selector operator"))
	}
	if r.Key != metav1.ObjectNameField {
		return append(faults, field.Invalid(p.Child("key"), r.Key, "not a valid field selector key"))
	}
	for i, value := range r.Values {
		faults = append(faults, invalid(p.Child("values").Index(i), value, validation.IsDNS1123Subdomain(value))...)
	}
	return faults
}

func validatePodAffinity(must []corev1.PodAffinityTerm, prefer []corev1.WeightedPodAffinityTerm, p *field.Path) (faults field.ErrorList) {
	for i := range must {
		faults = append(faults, validatePodTerm(&must[i], p.Child(requiredTerms).Index(i))...)
	}
	for i := range prefer {
		at := p.Child(preferredTerms).Index(i)
		faults = append(faults, validateWeight(prefer[i].Weight, at.Child("weight"))...)
		faults = append(faults, validatePodTerm(&prefer[i].PodAffinityTerm, at.Child("podAffinityTerm"))...)
	}
	return faults
}

func validatePodTerm(t *corev1.PodAffinityTerm, p *field.Path) field.ErrorList {
	faults := validateSelector(t.LabelSelector, p.Child("labelSelector"))
	faults = append(faults, validateSelector(t.NamespaceSelector, p.Child("namespaceSelector"))...)
	for _, name := range t.Namespaces {
		faults = append(faults, invalid(p.Child("namespace"), name, validation.IsDNS1123Label(name))...)
	}
	for i, key := range t.MatchLabelKeys {
		faults = append(faults, metavalidation.ValidateLabelName(key, p.Child("matchLabelKeys").Index(i))...)
	}
	for i, key := range t.MismatchLabelKeys {
		faults = append(faults, metavalidation.ValidateLabelName(key, p.Child("mismatchLabelKeys").Index(i))...)
	}
	if t.TopologyKey == "" {
		return append(faults, field.Required(p.Child("topologyKey"), "can not be empty"))
	}
	return append(faults, metavalidation.ValidateLabelName(t.TopologyKey, p.Child("topologyKey"))...)
}

func validateSpread(constraints []corev1.TopologySpreadConstraint, p *field.Path) (faults field.ErrorList) {
	seen := map[string]bool{}
	for i, c := range constraints {
		at := p.Index(i)
		if c.MaxSkew <= 0 {
			faults = append(faults, field.Invalid(at.Child("maxSkew"), c.MaxSkew, "must be greater than zero"))
		}
		if c.TopologyKey == "" {
			faults = append(faults, field.Required(at.Child("topologyKey"), "can not be empty"))
		} else {
			faults = append(faults, metavalidation.ValidateLabelName(c.TopologyKey, at.Child("topologyKey"))...)
		}
		if id := fmt.Sprintf("{%s, %s}", c.TopologyKey, c.WhenUnsatisfiable); seen[id] {
			faults = append(faults, field.Duplicate(at.Child("{topologyKey, whenUnsatisfiable}"), id))
		} else {
			seen[id] = true
		}
		faults = append(faults, validateSpreadPolicies(c, at)...)
	}
	return faults
}

func validateSpreadPolicies(c corev1.TopologySpreadConstraint, p *field.Path) (faults field.ErrorList) {
	action := p.Child("whenUnsatisfiable")
	if c.WhenUnsatisfiable != corev1.DoNotSchedule && c.WhenUnsatisfiable != corev1.ScheduleAnyway {
		faults = append(faults, field.NotSupported(action, c.WhenUnsatisfiable, []corev1.UnsatisfiableConstraintAction{corev1.DoNotSchedule, corev1.ScheduleAnyway}))
	}
	if c.MinDomains != nil {
		at := p.Child("minDomains")
		if *c.MinDomains <= 0 {
			faults = append(faults, field.Invalid(at, *c.MinDomains, "must be greater than zero"))
		}
		if c.WhenUnsatisfiable != corev1.DoNotSchedule {
			faults = append(faults, field.Invalid(at, *c.MinDomains, "can only use minDomains if whenUnsatisfiable="+strconv.Quote(string(corev1.DoNotSchedule))+", not "+strconv.Quote(string(c.WhenUnsatisfiable))))
		}
	}
	policies := []corev1.NodeInclusionPolicy{corev1.NodeInclusionPolicyIgnore, corev1.NodeInclusionPolicyHonor}
	faults = append(faults, optionalOneOf(p.Child("nodeAffinityPolicy"), c.NodeAffinityPolicy, policies...)...)
	faults = append(faults, optionalOneOf(p.Child("nodeTaintsPolicy"), c.NodeTaintsPolicy, policies...)...)
	for i, key := range c.MatchLabelKeys {
		faults = append(faults, metavalidation.ValidateLabelName(key, p.Child("matchLabelKeys").Index(i))...)
	}
	return append(faults, validateSelector(c.LabelSelector, p.Child("labelSelector"))...)
}
