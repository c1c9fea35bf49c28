package kinds

import (
	"context"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

func podRules() registry.Rules {
	return registry.Rules{
		Kind:     api.PodKind,
		Default:  func(o api.Object) { defaultPod(o.(*corev1.Pod)) },
		Prepare:  preparePod,
		Validate: validate(validatePod),
		Warnings: podWarnings(podStored, "", func(p *corev1.Pod) *corev1.PodSpec { return &p.Spec }),
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
		if p.Spec.Priority == nil {
			p.Spec.Priority = before.Spec.Priority
		}
		if p.Spec.PreemptionPolicy == nil {
			p.Spec.PreemptionPolicy = before.Spec.PreemptionPolicy
		}
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
		taint := corev1.Taint{Key: key, Effect: corev1.TaintEffectNoExecute}
		if !tolerated(s.Tolerations, taint) {
			s.Tolerations = append(s.Tolerations, corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists,
				Effect: taint.Effect, TolerationSeconds: new(seconds)})
		}
	}
}

// tolerated reports whether the author has said anything about a taint, for whatever value.
func tolerated(tolerations []corev1.Toleration, taint corev1.Taint) bool {
	for _, t := range tolerations {
		if (t.Key == taint.Key || t.Key == "") && (t.Effect == taint.Effect || t.Effect == "") {
			return true
		}
	}
	return false
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
	if p.Spec.NodeName == "" || finished(p) {
		return 0
	}
	seconds := int64(corev1.DefaultTerminationGracePeriodSeconds)
	switch {
	case asked != nil:
		seconds = *asked
	case p.Spec.TerminationGracePeriodSeconds != nil:
		seconds = *p.Spec.TerminationGracePeriodSeconds
	}
	if seconds < 0 {
		return 1
	}
	return seconds
}

func finished(p *corev1.Pod) bool {
	return p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed
}

func validatePod(sub string, p, old *corev1.Pod) (faults field.ErrorList) {
	spec := field.NewPath("spec")
	switch {
	case sub == "status":
		return validatePodStatus(p, field.NewPath("status"))
	case sub != "": // the body of a binding was checked when it was put in
		return nil
	case old == nil:
		faults = validatePodSpec(&p.Spec, spec)
		if len(p.Spec.EphemeralContainers) > 0 {
			faults = append(faults, field.Forbidden(spec.Child("ephemeralContainers"), "cannot be set on create"))
		}
		if len(p.Spec.SchedulingGates) > 0 && p.Spec.NodeName != "" {
			faults = append(faults, field.Forbidden(spec.Child("nodeName"), "cannot be set until all schedulingGates have been cleared"))
		}
		return faults
	}
	return append(validatePodSpec(&p.Spec, spec), validatePodUpdate(&p.Spec, &old.Spec, spec)...)
}

func validatePodStatus(p *corev1.Pod, at *field.Path) (faults field.ErrorList) {
	if name := p.Status.NominatedNodeName; name != "" {
		faults = append(faults, subdomain(at.Child("nominatedNodeName"), name)...)
	}
	seen := map[string]bool{}
	for i, ip := range p.Status.PodIPs {
		path := at.Child("podIPs").Index(i)
		faults = append(faults, validateIP(path, ip.IP)...)
		if seen[ip.IP] {
			faults = append(faults, field.Duplicate(path, ip.IP))
		}
		seen[ip.IP] = true
	}
	return faults
}

func podFields() map[string]func(api.Object) string {
	return map[string]func(api.Object) string{
		"spec.hostNetwork":         selects(func(p *corev1.Pod) string { return strconv.FormatBool(p.Spec.HostNetwork) }),
		"spec.nodeName":            selects(func(p *corev1.Pod) string { return p.Spec.NodeName }),
		"spec.restartPolicy":       selects(func(p *corev1.Pod) string { return string(p.Spec.RestartPolicy) }),
		"spec.schedulerName":       selects(func(p *corev1.Pod) string { return p.Spec.SchedulerName }),
		"spec.serviceAccountName":  selects(func(p *corev1.Pod) string { return p.Spec.ServiceAccountName }),
		"status.nominatedNodeName": selects(func(p *corev1.Pod) string { return p.Status.NominatedNodeName }),
		"status.phase":             selects(func(p *corev1.Pod) string { return string(p.Status.Phase) }),
		"status.podIP":             selects(func(p *corev1.Pod) string { return p.Status.PodIP }),
		"status.podIPs":            selects(podIPs),
	}
}

func podIPs(p *corev1.Pod) string {
	var all []string
	for _, ip := range p.Status.PodIPs {
		all = append(all, ip.IP)
	}
	return strings.Join(all, ",")
}
