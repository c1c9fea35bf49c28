package kinds

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// validatePodUpdate: a pod is a fact, not a plan. Of its spec only images, deadlines, more tolerations and fewer scheduling gates may
// change; whatever else should differ needs another pod.
func validatePodUpdate(sub string, pod, before *corev1.Pod) (faults field.ErrorList) {
	if sub != "" {
		return nil
	}
	now, old, p := &pod.Spec, &before.Spec, field.NewPath("spec")
	if len(now.Containers) != len(old.Containers) {
		return field.ErrorList{field.Forbidden(p.Child("containers"), "pod updates may not add or remove containers")}
	}
	if len(now.InitContainers) != len(old.InitContainers) {
		return field.ErrorList{field.Forbidden(p.Child("initContainers"), "pod updates may not add or remove containers")}
	}
	faults = deadlineStays(now.ActiveDeadlineSeconds, old.ActiveDeadlineSeconds, p.Child("activeDeadlineSeconds"))
	faults = append(faults, onlyAdds(now.Tolerations, old.Tolerations, p.Child("tolerations"))...)
	faults = append(faults, onlyRemoves(now.SchedulingGates, old.SchedulingGates, p.Child("schedulingGates"))...)
	if changed := differing(withMutable(now, old), old); len(changed) > 0 {
		faults = append(faults, field.Forbidden(p, "pod updates may not change fields other than `spec.containers[*].image`,"+
			"`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"+
			"`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative); changed: "+strings.Join(changed, ", ")))
	}
	return faults
}

// withMutable is the new spec with everything that may change taken from the old one: what still differs may not.
func withMutable(now, old *corev1.PodSpec) *corev1.PodSpec {
	s := now.DeepCopy()
	for i := range s.Containers {
		s.Containers[i].Image = old.Containers[i].Image
	}
	for i := range s.InitContainers {
		s.InitContainers[i].Image = old.InitContainers[i].Image
	}
	s.ActiveDeadlineSeconds, s.Tolerations, s.SchedulingGates = old.ActiveDeadlineSeconds, old.Tolerations, old.SchedulingGates
	if deref(old.TerminationGracePeriodSeconds) < 0 && deref(now.TerminationGracePeriodSeconds) == 1 {
		s.TerminationGracePeriodSeconds = old.TerminationGracePeriodSeconds
	}
	if len(old.SchedulingGates) > 0 && narrows(now.NodeSelector, old.NodeSelector) {
		s.NodeSelector = old.NodeSelector
	}
	return s
}

// narrows: while nobody has looked for a node yet, the choice may be made smaller.
func narrows(now, old map[string]string) bool {
	for key, value := range old {
		if now[key] != value {
			return false
		}
	}
	return true
}

// differing names the fields in which two specs differ.
func differing(now, old *corev1.PodSpec) (names []string) {
	a, b := reflect.ValueOf(*now), reflect.ValueOf(*old)
	for i := range a.NumField() {
		if !equality.Semantic.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
			names = append(names, "spec."+jsonName(a.Type().Field(i)))
		}
	}
	return names
}

// deadlineStays: a deadline may come or come nearer, but not go or go further off.
func deadlineStays(now, old *int64, p *field.Path) field.ErrorList {
	if old == nil || now != nil && *now <= *old {
		return nil
	}
	if now == nil {
		return field.ErrorList{field.Invalid(p, now, fmt.Sprintf("must not update from a positive integer (%d) to nil value", *old))}
	}
	return field.ErrorList{field.Invalid(p, *now, "must be less than or equal to previous value")}
}

func onlyAdds(now, old []corev1.Toleration, p *field.Path) field.ErrorList {
	for _, t := range old {
		kept := slices.ContainsFunc(now, func(n corev1.Toleration) bool {
			n.TolerationSeconds, t.TolerationSeconds = nil, nil // the time may change
			return n == t
		})
		if !kept {
			return field.ErrorList{field.Forbidden(p, "existing toleration can not be modified except its tolerationSeconds")}
		}
	}
	return nil
}

func onlyRemoves(now, old []corev1.PodSchedulingGate, p *field.Path) (faults field.ErrorList) {
	for i, g := range now {
		faults = append(faults, when(!slices.Contains(old, g), field.Forbidden(p.Index(i).Child("name"), fmt.Sprintf("only deletion is allowed, but found new scheduling gate '%s'", g.Name)))...)
	}
	return faults
}
