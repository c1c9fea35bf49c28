package kinds

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metavalidation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func validateSelector(s *metav1.LabelSelector, p *field.Path) field.ErrorList {
	return metavalidation.ValidateLabelSelector(s, metavalidation.LabelSelectorValidationOptions{}, p)
}

// validateOwnSelector is for selectors by which an object recognises what it owns: an empty one would own everything.
func validateOwnSelector(s *metav1.LabelSelector, p *field.Path) field.ErrorList {
	if s == nil {
		return field.ErrorList{field.Required(p, "")}
	}
	faults := validateSelector(s, p)
	if _, err := metav1.LabelSelectorAsSelector(s); err != nil {
		faults = append(faults, field.Invalid(p, s, "invalid label selector"))
	}
	if len(s.MatchLabels)+len(s.MatchExpressions) == 0 {
		faults = append(faults, field.Invalid(p, s, "empty selector is invalid: it would select every pod"))
	}
	return faults
}

// validateOwnedTemplate checks the pods that an object will make: its own selector must find them, and they must run for ever.
func validateOwnedTemplate(t *corev1.PodTemplateSpec, s *metav1.LabelSelector, p *field.Path) (faults field.ErrorList) {
	if selector, err := metav1.LabelSelectorAsSelector(s); err == nil && !selector.Empty() && !selector.Matches(labels.Set(t.Labels)) {
		faults = append(faults, field.Invalid(p.Child("metadata", "labels"), t.Labels, "`selector` does not match template `labels`"))
	}
	faults = append(faults, metavalidation.ValidateLabels(t.Labels, p.Child("labels"))...)
	faults = append(faults, apivalidation.ValidateAnnotations(t.Annotations, p.Child("annotations"))...)
	spec := p.Child("spec")
	faults = append(faults, validatePodSpec(&t.Spec, spec)...)
	if len(t.Spec.EphemeralContainers) > 0 {
		faults = append(faults, field.Forbidden(spec.Child("ephemeralContainers"), "ephemeral containers not allowed in pod template"))
	}
	if t.Spec.RestartPolicy != corev1.RestartPolicyAlways {
		faults = append(faults, field.NotSupported(spec.Child("restartPolicy"), t.Spec.RestartPolicy, []corev1.RestartPolicy{corev1.RestartPolicyAlways}))
	}
	if t.Spec.ActiveDeadlineSeconds != nil {
		faults = append(faults, field.Forbidden(spec.Child("activeDeadlineSeconds"), "a pod that is replaced when it ends cannot have a deadline"))
	}
	return faults
}

// intOrPercent checks "3" and "25%" alike.
func intOrPercent(p *field.Path, v intstr.IntOrString) field.ErrorList {
	switch v.Type {
	case intstr.Int:
		return nonNegative(p, v.IntVal)
	case intstr.String:
		return invalid(p, v, validation.IsValidPercent(v.StrVal))
	}
	return field.ErrorList{field.Invalid(p, v, "must be an integer or percentage (e.g '5%')")}
}

// intOf is the number in front of the percent sign, or the number itself; 0 when neither can be read.
func intOf(v intstr.IntOrString) int {
	if v.Type == intstr.Int {
		return int(v.IntVal)
	}
	n, _ := strconv.Atoi(strings.TrimSuffix(v.StrVal, "%"))
	return n
}

func atMostAll(p *field.Path, v intstr.IntOrString) field.ErrorList {
	if v.Type == intstr.String && len(validation.IsValidPercent(v.StrVal)) == 0 && intOf(v) > 100 {
		return field.ErrorList{field.Invalid(p, v, fmt.Sprintf("must not be greater than %d%%", 100))}
	}
	return nil
}
