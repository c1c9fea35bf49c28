package kinds

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

func isHugePage(name corev1.ResourceName) bool {
	return strings.HasPrefix(string(name), corev1.ResourceHugePagesPrefix)
}

// isNative: names without a domain, or of kubernetes.io.
func isNative(name corev1.ResourceName) bool {
	return !strings.Contains(string(name), "/") || strings.Contains(string(name), corev1.ResourceDefaultNamespacePrefix)
}

// isExtended: names of somebody's own domain, counted in whole pieces: nvidia.com/gpu.
func isExtended(name corev1.ResourceName) bool {
	return !isNative(name) && !strings.HasPrefix(string(name), corev1.DefaultResourceRequestsPrefix) &&
		len(validation.IsQualifiedName(corev1.DefaultResourceRequestsPrefix+string(name))) == 0
}

// overcommits: of these a node may promise more than it has; a limit may exceed the request.
func overcommits(name corev1.ResourceName) bool { return isNative(name) && !isHugePage(name) }

// podLevel reports whether an amount can be set for a pod as a whole.
func podLevel(name corev1.ResourceName) bool {
	return name == corev1.ResourceCPU || name == corev1.ResourceMemory || isHugePage(name)
}

// resourceAmounts checks names and numbers of what containers ask for.
func resourceAmounts(at *field.Path, l corev1.ResourceList) (faults field.ErrorList) {
	for name, q := range l {
		p := at.Key(string(name))
		bad := invalid(p, name, validation.IsQualifiedName(string(name)))
		if len(bad) == 0 {
			standard := podLevel(name) || name == corev1.ResourceEphemeralStorage || strings.Contains(string(name), "/")
			bad = append(when(!standard, field.Invalid(p, name, "must be a standard resource for containers")),
				when(!isNative(name) && !isExtended(name), field.Invalid(p, name, "doesn't follow extended resource name standard"))...)
		}
		faults = append(append(faults, bad...), amount(p, name, q)...)
	}
	return faults
}

func amount(at *field.Path, name corev1.ResourceName, q resource.Quantity) field.ErrorList {
	return append(when(q.Sign() < 0, field.Invalid(at, q.String(), apivalidation.IsNegativeErrorMsg)),
		when((isExtended(name) || isHugePage(name)) && q.MilliValue()%1000 != 0, field.Invalid(at, q.String(), "must be an integer"))...)
}

// requestsWithinLimits also refuses huge pages alone: such a container could not be placed or billed.
func requestsWithinLimits(at *field.Path, r *corev1.ResourceRequirements) (faults field.ErrorList) {
	requests, huge, ordinary := at.Child("requests"), false, false
	for name, asked := range r.Requests {
		switch limit, limited := r.Limits[name]; {
		case !limited:
			faults = append(faults, when(!overcommits(name), field.Required(at.Child("limits"), "Limit must be set for non overcommitable resources"))...)
		case overcommits(name):
			faults = append(faults, when(asked.Cmp(limit) > 0, field.Invalid(requests, asked.String(), fmt.Sprintf("must be less than or equal to %s limit of %s", name, limit.String())))...)
		default:
			faults = append(faults, when(asked.Cmp(limit) != 0, field.Invalid(requests, asked.String(), fmt.Sprintf("must be equal to %s limit of %s", name, limit.String())))...)
		}
	}
	for _, l := range []corev1.ResourceList{r.Limits, r.Requests} {
		for name := range l {
			huge, ordinary = huge || isHugePage(name), ordinary || podLevel(name) && !isHugePage(name)
		}
	}
	return append(faults, when(huge && !ordinary, field.Forbidden(at, "HugePages require cpu or memory"))...)
}

// podResources checks amounts that are asked for a pod as a whole.
func podResources(at *field.Path, s *corev1.PodSpec) (faults field.ErrorList) {
	for list, l := range map[string]corev1.ResourceList{"limits": deref(s.Resources).Limits, "requests": deref(s.Resources).Requests} {
		for name := range l {
			faults = append(faults, when(!podLevel(name), field.NotSupported(at.Child("resources", list).Key(string(name)), name, []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory}))...)
		}
	}
	return faults
}
