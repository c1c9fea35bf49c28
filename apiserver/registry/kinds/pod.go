package kinds

import (
	"context"
	"fmt"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

func podRules() registry.Rules {
	return registry.Rules{
		Kind:     api.PodKind,
		Default:  func(o api.Object) { defaultPod(o.(*corev1.Pod)) },
		Prepare:  preparePod,
		Validate: validate(validatePodUpdate),
		Warnings: warnings,
		Claims:   claimPod,
		Grace:    podGrace,
		Subs:     map[string]registry.Sub{"binding": {New: newBinding, Into: bind, Verb: api.VerbCreate}},
		Fields:   podFields(),
		Columns:  podColumns(),
	}
}

// preparePod gives a new pod its first status. On updates it keeps what the author of a manifest does not know: what was resolved for the
// pod when it was created.
func preparePod(_ context.Context, sub string, o, old api.Object) {
	p := o.(*corev1.Pod)
	before, update := old.(*corev1.Pod)
	switch {
	case !update:
		p.Status = corev1.PodStatus{Phase: corev1.PodPending, QOSClass: qosClass(&p.Spec)}
		if len(p.Spec.SchedulingGates) > 0 {
			p.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse,
				Reason: corev1.PodReasonSchedulingGated, Message: "Scheduling is blocked due to non-empty scheduling gates"}}
		}
	case sub == "":
		fill(&p.Spec.Priority, before.Spec.Priority)
		fill(&p.Spec.PreemptionPolicy, before.Spec.PreemptionPolicy)
		fill(&p.Spec.PriorityClassName, before.Spec.PriorityClassName)
	default:
		p.Status.QOSClass = before.Status.QOSClass
		return
	}
	tolerateBriefly(&p.Spec)
}

// tolerateBriefly: a pod whose node falls silent stays bound to it for five minutes, unless it says otherwise.
func tolerateBriefly(s *corev1.PodSpec) {
	const seconds int64 = 300
	for _, key := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		said := slices.ContainsFunc(s.Tolerations, func(t corev1.Toleration) bool {
			return (t.Key == key || t.Key == "") && (t.Effect == corev1.TaintEffectNoExecute || t.Effect == "")
		})
		if !said {
			s.Tolerations = append(s.Tolerations, corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists,
				Effect: corev1.TaintEffectNoExecute, TolerationSeconds: new(seconds)})
		}
	}
}

// qosClass says who suffers first when a node runs out of memory: who asked for nothing, then who uses more than asked.
func qosClass(s *corev1.PodSpec) corev1.PodQOSClass {
	var all []corev1.ResourceRequirements
	eachContainer(s, func(c *corev1.Container) { all = append(all, c.Resources) })
	if s.Resources != nil {
		all = []corev1.ResourceRequirements{*s.Resources}
	}
	asked, guaranteed := false, true
	for _, r := range all {
		for _, name := range []corev1.ResourceName{corev1.ResourceCPU, corev1.ResourceMemory} {
			request, limit := r.Requests[name], r.Limits[name]
			asked = asked || !request.IsZero() || !limit.IsZero()
			guaranteed = guaranteed && !limit.IsZero() && request.Cmp(limit) == 0
		}
	}
	switch {
	case !asked:
		return corev1.PodQOSBestEffort
	case guaranteed:
		return corev1.PodQOSGuaranteed
	}
	return corev1.PodQOSBurstable
}

// podGrace: a pod that no agent runs, or that has ended, goes at once.
func podGrace(o api.Object, asked *int64) int64 {
	p := o.(*corev1.Pod)
	if p.Spec.NodeName == "" || api.Ended(p) {
		return 0
	}
	if asked == nil {
		asked = p.Spec.TerminationGracePeriodSeconds
	}
	fillPtr(&asked, int64(corev1.DefaultTerminationGracePeriodSeconds))
	if *asked < 0 {
		return 1
	}
	return *asked
}

func podFields() map[string]func(api.Object) string {
	all := selectable[*corev1.Pod](`spec.hostNetwork spec.nodeName spec.restartPolicy spec.schedulerName spec.serviceAccountName
		status.nominatedNodeName status.phase status.podIP`)
	all["status.podIPs"] = func(o api.Object) string {
		return strings.Join(texts(o.(*corev1.Pod).Status.PodIPs, func(ip corev1.PodIP) string { return ip.IP }), ",")
	}
	return all
}

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
	// While nobody has looked for a node yet, the choice may be made smaller.
	if len(old.SchedulingGates) > 0 && labels.SelectorFromSet(old.NodeSelector).Matches(labels.Set(now.NodeSelector)) {
		s.NodeSelector = old.NodeSelector
	}
	return s
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
	lost := slices.ContainsFunc(old, func(t corev1.Toleration) bool {
		return !slices.ContainsFunc(now, func(n corev1.Toleration) bool {
			n.TolerationSeconds = t.TolerationSeconds // the time may change
			return n == t
		})
	})
	return when(lost, field.Forbidden(p, "existing toleration can not be modified except its tolerationSeconds"))
}

func onlyRemoves(now, old []corev1.PodSchedulingGate, p *field.Path) (faults field.ErrorList) {
	for i, g := range now {
		faults = append(faults, when(!slices.Contains(old, g), field.Forbidden(p.Index(i).Child("name"), fmt.Sprintf("only deletion is allowed, but found new scheduling gate '%s'", g.Name)))...)
	}
	return faults
}
