package kinds

import (
	"fmt"
	"slices"
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

var containerResources = []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage}

func validateResources(r *corev1.ResourceRequirements, p *field.Path) (faults field.ErrorList) {
	limits, requests := p.Child("limits"), p.Child("requests")
	faults = append(validateAmounts(r.Limits, limits), validateAmounts(r.Requests, requests)...)
	for name, asked := range r.Requests {
		faults = append(faults, validateRequest(name, asked, r.Limits, limits, requests)...)
	}
	return append(faults, validateHugePages(r, p)...)
}

func validateAmounts(l corev1.ResourceList, p *field.Path) (faults field.ErrorList) {
	for name, q := range l {
		faults = append(faults, validateResourceName(name, p.Key(string(name)))...)
		faults = append(faults, validateAmount(name, q, p.Key(string(name)))...)
	}
	return faults
}

func validateResourceName(name corev1.ResourceName, p *field.Path) field.ErrorList {
	if faults := invalid(p, name, validation.IsQualifiedName(string(name))); len(faults) > 0 {
		return faults
	}
	switch {
	case !strings.Contains(string(name), "/"):
		if !slices.Contains(containerResources, name) && !isHugePage(name) {
			return field.ErrorList{field.Invalid(p, name, "must be a standard resource for containers")}
		}
	case !isNative(name) && !isExtended(name):
		return field.ErrorList{field.Invalid(p, name, "doesn't follow extended resource name standard")}
	}
	return nil
}

func validateAmount(name corev1.ResourceName, q resource.Quantity, p *field.Path) (faults field.ErrorList) {
	if q.Sign() < 0 {
		faults = append(faults, field.Invalid(p, q.String(), apivalidation.IsNegativeErrorMsg))
	}
	if (isExtended(name) || isHugePage(name)) && q.MilliValue()%1000 != 0 {
		faults = append(faults, field.Invalid(p, q.String(), "must be an integer"))
	}
	return faults
}

func validateRequest(name corev1.ResourceName, asked resource.Quantity, all corev1.ResourceList, limits, requests *field.Path) field.ErrorList {
	limit, limited := all[name]
	switch {
	case !limited && !overcommits(name):
		return field.ErrorList{field.Required(limits, "Limit must be set for non overcommitable resources")}
	case limited && !overcommits(name) && asked.Cmp(limit) != 0:
		return field.ErrorList{field.Invalid(requests, asked.String(), fmt.Sprintf("must be equal to %s limit of %s", name, limit.String()))}
	case limited && overcommits(name) && asked.Cmp(limit) > 0:
		return field.ErrorList{field.Invalid(requests, asked.String(), fmt.Sprintf("must be less than or equal to %s limit of %s", name, limit.String()))}
	}
	return nil
}

// validateHugePages: a container of huge pages alone could not be placed or billed.
func validateHugePages(r *corev1.ResourceRequirements, p *field.Path) field.ErrorList {
	huge, ordinary := false, false
	for _, l := range []corev1.ResourceList{r.Limits, r.Requests} {
		for name := range l {
			huge = huge || isHugePage(name)
			ordinary = ordinary || name == corev1.ResourceCPU || name == corev1.ResourceMemory
		}
	}
	if huge && !ordinary {
		return field.ErrorList{field.Forbidden(p, "HugePages require cpu or memory")}
	}
	return nil
}

// validatePodResources checks amounts that are asked for a pod as a whole.
func validatePodResources(r *corev1.ResourceRequirements, p *field.Path) (faults field.ErrorList) {
	for name, list := range map[string]corev1.ResourceList{"limits": r.Limits, "requests": r.Requests} {
		for resourceName := range list {
			if !podLevel(resourceName) {
				faults = append(faults, field.NotSupported(p.Child(name).Key(string(resourceName)), resourceName, []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory}))
			}
		}
	}
	return append(faults, validateResources(r, p)...)
}
