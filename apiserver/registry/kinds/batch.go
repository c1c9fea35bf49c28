package kinds

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

func jobRules() registry.Rules {
	type job = batchv1.Job
	r := workloadRules(api.JobKind, jobStays, func(j *job) workload { return workload{selector: j.Spec.Selector, template: &j.Spec.Template} },
		column("Status", "string", "What has become of it.", jobLooks),
		column("Completions", "string", "Number of pods that succeeded, of those wanted.", jobCompletions),
		timed("Duration", "string", "How long it ran, or has been running.", func(j *job, now time.Time) any {
			switch {
			case j.Status.StartTime == nil:
				return ""
			case j.Status.CompletionTime != nil:
				now = j.Status.CompletionTime.Time
			}
			return duration.HumanDuration(now.Sub(j.Status.StartTime.Time))
		}), registry.AgeColumn)
	r.Prepare = func(ctx context.Context, sub string, o, old api.Object) {
		clearStatus(ctx, sub, o, old)
		j := o.(*batchv1.Job)
		if old == nil && !deref(j.Spec.ManualSelector) {
			selectOwnPods(j)
		}
		if len(j.Labels) == 0 {
			j.Labels = maps.Clone(j.Spec.Template.Labels)
		}
	}
	r.Fields = map[string]func(api.Object) string{"status.successful": func(o api.Object) string { return fmt.Sprint(o.(*job).Status.Succeeded) }}
	return r
}

// selectOwnPods labels the pods of a Job with its name and uid, and selects them by the latter, so that no two Jobs take each other's.
func selectOwnPods(j *batchv1.Job) {
	t := &j.Spec.Template
	if t.Labels == nil {
		t.Labels = map[string]string{}
	}
	own := map[string]string{"job-name": j.Name, batchv1.JobNameLabel: j.Name, "controller-uid": string(j.UID), batchv1.ControllerUidLabel: string(j.UID)}
	maps.Copy(own, t.Labels)
	maps.Copy(t.Labels, own)
	fillPtr(&j.Spec.Selector, metav1.LabelSelector{})
	if j.Spec.Selector.MatchLabels == nil {
		j.Spec.Selector.MatchLabels = map[string]string{}
	}
	if _, named := j.Spec.Selector.MatchLabels[batchv1.ControllerUidLabel]; !named {
		j.Spec.Selector.MatchLabels[batchv1.ControllerUidLabel] = string(j.UID)
	}
}

// jobLooks is the condition that says most, or what must be the case without any.
func jobLooks(j *batchv1.Job) any {
	for _, word := range []batchv1.JobConditionType{batchv1.JobComplete, batchv1.JobFailed, "Terminating", batchv1.JobSuspended, batchv1.JobFailureTarget, batchv1.JobSuccessCriteriaMet} {
		if jobHas(j, word) || word == "Terminating" && j.DeletionTimestamp != nil {
			return string(word)
		}
	}
	return "Running"
}

func jobHas(j *batchv1.Job, t batchv1.JobConditionType) bool {
	return slices.ContainsFunc(j.Status.Conditions, func(c batchv1.JobCondition) bool { return c.Type == t && c.Status == corev1.ConditionTrue })
}

func jobCompletions(j *batchv1.Job) any {
	switch parallel := deref(j.Spec.Parallelism); {
	case j.Spec.Completions != nil:
		return fmt.Sprintf("%d/%d", j.Status.Succeeded, *j.Spec.Completions)
	case parallel > 1:
		return fmt.Sprintf("%d/1 of %d", j.Status.Succeeded, parallel)
	}
	return fmt.Sprintf("%d/1", j.Status.Succeeded)
}

// jobStays: a Job is one piece of work. While it waits (suspended, and never started) it may still be told where and with how much.
func jobStays(sub string, j, old *batchv1.Job) field.ErrorList {
	if sub != "" {
		return jobEnds(j, old)
	}
	was := old.Spec.DeepCopy()
	if deref(old.Spec.Suspend) && old.Status.StartTime == nil {
		now, before := j.Spec.Template.DeepCopy(), &was.Template
		before.Labels, before.Annotations = now.Labels, now.Annotations
		before.Spec.NodeSelector, before.Spec.Tolerations, before.Spec.SchedulingGates = now.Spec.NodeSelector, now.Spec.Tolerations, now.Spec.SchedulingGates
		before.Spec.Affinity = now.Spec.Affinity
		for i := range min(len(now.Spec.Containers), len(before.Spec.Containers)) {
			before.Spec.Containers[i].Resources = now.Spec.Containers[i].Resources
		}
		for i := range min(len(now.Spec.InitContainers), len(before.Spec.InitContainers)) {
			before.Spec.InitContainers[i].Resources = now.Spec.InitContainers[i].Resources
		}
	}
	if deref(j.Spec.CompletionMode) == batchv1.IndexedCompletion && j.Spec.Completions != nil && j.Spec.Parallelism != nil && *j.Spec.Completions == *j.Spec.Parallelism {
		was.Completions = j.Spec.Completions // an indexed Job grows and shrinks as a whole
	}
	return jobFixed(sub, j, &batchv1.Job{Spec: *was})
}

var jobFixed = fixed[*batchv1.Job]("spec.completions spec.selector spec.template spec.completionMode spec.podFailurePolicy spec.backoffLimitPerIndex spec.managedBy spec.successPolicy")

// jobEnds: what has ended has ended, and what was counted stays counted.
func jobEnds(j, old *batchv1.Job) (faults field.ErrorList) {
	at := field.NewPath("status")
	conditions := at.Child("conditions")
	for _, end := range []batchv1.JobConditionType{batchv1.JobFailed, batchv1.JobComplete, batchv1.JobFailureTarget, batchv1.JobSuccessCriteriaMet} {
		faults = append(faults, when(jobHas(old, end) && !jobHas(j, end), field.Invalid(conditions, field.OmitValueType{}, fmt.Sprintf("cannot disable the %s=True condition", end)))...)
	}
	done, failed := jobHas(j, batchv1.JobComplete), jobHas(j, batchv1.JobFailed)
	faults = append(faults, when(done && failed, field.Invalid(conditions, field.OmitValueType{}, "cannot set Complete=True and Failed=true conditions"))...)
	faults = append(faults, when(j.Status.CompletionTime == nil && done, field.Required(at.Child("completionTime"), "completionTime is required for Complete jobs"))...)
	faults = append(faults, when(j.Status.CompletionTime != nil && !done, field.Invalid(at.Child("completionTime"), j.Status.CompletionTime, "cannot set completionTime when there is no Complete=True condition"))...)
	faults = append(faults, when(j.Status.Active > 0 && (done || failed), field.Invalid(at.Child("active"), j.Status.Active, "active>0 is invalid for finished job"))...)
	faults = append(faults, when(j.Status.StartTime == nil && (done || failed), field.Required(at.Child("startTime"), "startTime is required for finished job"))...)
	faults = append(faults, when(j.Status.Failed < old.Status.Failed, field.Invalid(at.Child("failed"), j.Status.Failed, "cannot decrease the failed counter"))...)
	return append(faults, when(j.Status.Succeeded < old.Status.Succeeded, field.Invalid(at.Child("succeeded"), j.Status.Succeeded, "cannot decrease the succeeded counter"))...)
}

func cronJobRules() registry.Rules {
	type cron = batchv1.CronJob
	return workloadRules(api.CronJobKind, nil, func(c *cron) workload {
		return workload{selector: c.Spec.JobTemplate.Spec.Selector, template: &c.Spec.JobTemplate.Spec.Template}
	}, shown[*cron]("Schedule", "spec.schedule", "", "When Jobs are made."), shown[*cron]("Timezone", "spec.timeZone", none, "In whose time."),
		flag[*cron]("Suspend", "spec.suspend", false, "Whether none are made at present."),
		column("Active", "integer", "Number of its Jobs that run.", func(c *cron) any { return int64(len(c.Status.Active)) }),
		timed("Last Schedule", "string", "When the last one was made.", func(c *cron, now time.Time) any {
			if c.Status.LastScheduleTime == nil {
				return none
			}
			return registry.Since(c.Status.LastScheduleTime.Time, now)
		}), registry.AgeColumn)
}

var batchDefaults = []rule{
	filled(func(j *batchv1.Job) {
		s := &j.Spec
		if s.Completions == nil && s.Parallelism == nil {
			fillPtr(&s.Completions, 1)
		}
		fillPtr(&s.Parallelism, 1)
		if s.BackoffLimitPerIndex != nil {
			fillPtr(&s.BackoffLimit, 1<<31-1)
		}
		fillPtr(&s.BackoffLimit, 6)
		fillPtr(&s.CompletionMode, batchv1.NonIndexedCompletion)
		fillPtr(&s.Suspend, false)
		fillPtr(&s.ManualSelector, false)
		if s.PodFailurePolicy != nil {
			fillPtr(&s.PodReplacementPolicy, batchv1.Failed)
		}
		fillPtr(&s.PodReplacementPolicy, batchv1.TerminatingOrFailed)
	}),
	filled(func(s *batchv1.CronJobSpec) {
		fill(&s.ConcurrencyPolicy, batchv1.AllowConcurrent)
		fillPtr(&s.Suspend, false)
		fillPtr(&s.SuccessfulJobsHistoryLimit, 3)
		fillPtr(&s.FailedJobsHistoryLimit, 1)
	}),
	filled(func(p *batchv1.PodFailurePolicyOnPodConditionsPattern) { fill(&p.Status, corev1.ConditionTrue) }),
}

const needsIndexes = "requires indexed completion mode"

var batchChecks = []rule{
	fields[batchv1.JobSpec]("parallelism completions activeDeadlineSeconds backoffLimit ttlSecondsAfterFinished backoffLimitPerIndex maxFailedIndexes", notNegative),
	fields[batchv1.JobSpec]("completionMode", oneOfKnown(batchv1.NonIndexedCompletion, batchv1.IndexedCompletion)),
	fields[batchv1.JobSpec]("managedBy", domainPath),
	fields[batchv1.JobStatus]("active succeeded failed ready terminating", notNegative),
	each(jobMode), each(jobPodsEnd),
	each(func(at *field.Path, j *batchv1.Job) field.ErrorList { return jobOwns(field.NewPath("spec"), j) }),
	each(func(at *field.Path, s *batchv1.JobSpec) field.ErrorList {
		allowed := []batchv1.PodReplacementPolicy{batchv1.Failed, batchv1.TerminatingOrFailed}
		if s.PodFailurePolicy != nil {
			allowed = allowed[:1]
		}
		return when(s.PodReplacementPolicy != nil && !slices.Contains(allowed, *s.PodReplacementPolicy), field.NotSupported(at.Child("podReplacementPolicy"), deref(s.PodReplacementPolicy), allowed))
	}),
	fields[batchv1.PodFailurePolicy]("rules", atMost(20)),
	fields[batchv1.PodFailurePolicyRule]("action", oneOf(batchv1.PodFailurePolicyActionCount, batchv1.PodFailurePolicyActionFailIndex, batchv1.PodFailurePolicyActionFailJob, batchv1.PodFailurePolicyActionIgnore)),
	fields[batchv1.PodFailurePolicyRule]("onPodConditions", atMost(20)),
	wrong("", "specifying both OnExitCodes and OnPodConditions is not supported", func(r *batchv1.PodFailurePolicyRule) (any, bool) {
		return field.OmitValueType{}, r.OnExitCodes != nil && len(r.OnPodConditions) > 0
	}),
	wrong("", "specifying one of OnExitCodes and OnPodConditions is required", func(r *batchv1.PodFailurePolicyRule) (any, bool) {
		return field.OmitValueType{}, r.OnExitCodes == nil && len(r.OnPodConditions) == 0
	}),
	fields[batchv1.PodFailurePolicyOnPodConditionsPattern]("type", qualified),
	fields[batchv1.PodFailurePolicyOnPodConditionsPattern]("status", oneOf(corev1.ConditionTrue, corev1.ConditionFalse, corev1.ConditionUnknown)),
	fields[batchv1.PodFailurePolicyOnExitCodesRequirement]("operator", oneOf(batchv1.PodFailurePolicyOnExitCodesOpIn, batchv1.PodFailurePolicyOnExitCodesOpNotIn)),
	fields[batchv1.PodFailurePolicyOnExitCodesRequirement]("values", atMost(255), distinct("", func(code int32) int32 { return code })),
	each(func(at *field.Path, r *batchv1.PodFailurePolicyOnExitCodesRequirement) (faults field.ErrorList) {
		at = at.Child("values")
		faults = append(when(len(r.Values) == 0, field.Invalid(at, r.Values, "at least one value is required")), when(!slices.IsSorted(r.Values), field.Invalid(at, r.Values, "must be ordered"))...)
		if zero := slices.Index(r.Values, 0); zero >= 0 && r.Operator == batchv1.PodFailurePolicyOnExitCodesOpIn {
			faults = append(faults, field.Invalid(at.Index(zero), 0, "must not be 0 for the In operator"))
		}
		return faults
	}),
	fields[batchv1.SuccessPolicy]("rules", required(), atMost(20)),
	fields[batchv1.SuccessPolicyRule]("succeededCount", notNegative),
	missing("", "at least one of succeededCount or succeededIndexes must be specified", func(r *batchv1.SuccessPolicyRule) bool { return r.SucceededCount == nil && r.SucceededIndexes == nil }),

	fields[batchv1.CronJobSpec]("schedule", required(text(cronFaults))),
	fields[batchv1.CronJobSpec]("timeZone", text(zoneFaults)),
	fields[batchv1.CronJobSpec]("startingDeadlineSeconds successfulJobsHistoryLimit failedJobsHistoryLimit", notNegative),
	fields[batchv1.CronJobSpec]("concurrencyPolicy", oneOf(batchv1.AllowConcurrent, batchv1.ForbidConcurrent, batchv1.ReplaceConcurrent)),
	wrong("metadata.name", "must be no more than 52 characters", func(c *batchv1.CronJob) (any, bool) { return c.Name, len(c.Name) > 52 }),
	wrong("spec.selector", "`selector` will be auto-generated", func(t *batchv1.JobTemplateSpec) (any, bool) { return t.Spec.Selector, t.Spec.Selector != nil }),
	each(func(at *field.Path, t *batchv1.JobTemplateSpec) field.ErrorList {
		return when(deref(t.Spec.ManualSelector), field.NotSupported(at.Child("spec", "manualSelector"), true, []string{"nil", "false"}))
	}),
}

// jobMode: what counts by index needs a Job that has some.
func jobMode(at *field.Path, s *batchv1.JobSpec) (faults field.ErrorList) {
	indexed, completions := deref(s.CompletionMode) == batchv1.IndexedCompletion, deref(s.Completions)
	perIndex, failed := at.Child("backoffLimitPerIndex"), at.Child("maxFailedIndexes")
	faults = when(s.MaxFailedIndexes != nil && s.BackoffLimitPerIndex == nil, field.Required(perIndex, "when maxFailedIndexes is specified"))
	if !indexed && s.CompletionMode != nil && *s.CompletionMode != batchv1.NonIndexedCompletion {
		return faults // it cannot be told
	}
	if !indexed {
		faults = append(faults, when(s.BackoffLimitPerIndex != nil, field.Invalid(perIndex, s.BackoffLimitPerIndex, needsIndexes))...)
		faults = append(faults, when(s.MaxFailedIndexes != nil, field.Invalid(failed, s.MaxFailedIndexes, needsIndexes))...)
		return append(faults, when(s.SuccessPolicy != nil, field.Invalid(at.Child("successPolicy"), field.OmitValueType{}, needsIndexes))...)
	}
	faults = append(faults, when(s.Completions == nil, field.Required(at.Child("completions"), "when completion mode is Indexed"))...)
	faults = append(faults, when(deref(s.Parallelism) > 100_000, field.Invalid(at.Child("parallelism"), s.Parallelism, "must be less than or equal to 100000 when completion mode is Indexed"))...)
	faults = append(faults, when(s.Completions != nil && deref(s.MaxFailedIndexes) > completions, field.Invalid(failed, s.MaxFailedIndexes, "must be less than or equal to completions"))...)
	if completions > 100_000 && s.BackoffLimitPerIndex != nil {
		faults = append(faults, when(s.MaxFailedIndexes == nil, field.Required(failed, "must be specified when completions is above 100000"))...)
		faults = append(faults, when(deref(s.Parallelism) > 10_000, field.Invalid(at.Child("parallelism"), s.Parallelism, "must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index"))...)
		faults = append(faults, when(deref(s.MaxFailedIndexes) > 10_000, field.Invalid(failed, s.MaxFailedIndexes, "must be less than or equal to 10000 when completions are above 100000 and used with backoff limit per index"))...)
	}
	return faults
}

// jobPodsEnd: pods of a Job are not meant to run for ever, and its policies speak of containers that it has.
func jobPodsEnd(at *field.Path, s *batchv1.JobSpec) (faults field.ErrorList) {
	p, again := at.Child("template", "spec", "restartPolicy"), s.Template.Spec.RestartPolicy
	switch {
	case again == "" || again == corev1.RestartPolicyAlways:
		faults = field.ErrorList{field.Required(p, `valid values: "OnFailure", "Never"`)}
	case s.PodFailurePolicy != nil && again == corev1.RestartPolicyOnFailure:
		faults = field.ErrorList{field.Invalid(p, again, `only "Never" is supported when podFailurePolicy is specified`)}
	}
	has := func(name string) func(corev1.Container) bool {
		return func(c corev1.Container) bool { return c.Name == name }
	}
	for i, r := range deref(s.PodFailurePolicy).Rules {
		p := at.Child("podFailurePolicy", "rules").Index(i)
		faults = append(faults, when(r.Action == batchv1.PodFailurePolicyActionFailIndex && s.BackoffLimitPerIndex == nil, field.Invalid(p.Child("action"), r.Action, "requires the backoffLimitPerIndex to be set"))...)
		if name := deref(r.OnExitCodes).ContainerName; name != nil && !slices.ContainsFunc(s.Template.Spec.Containers, has(*name)) && !slices.ContainsFunc(s.Template.Spec.InitContainers, has(*name)) {
			faults = append(faults, field.Invalid(p.Child("onExitCodes", "containerName"), *name, "must be one of the container or initContainer names in the pod template"))
		}
	}
	return faults
}

// jobOwns: unless its author selects by hand, a Job's pods are those with its uid.
func jobOwns(at *field.Path, j *batchv1.Job) (faults field.ErrorList) {
	s, have, p := j.Spec.Selector, labels.Set(j.Spec.Template.Labels), at.Child("template", "metadata", "labels")
	selector, err := metav1.LabelSelectorAsSelector(s)
	switch {
	case s == nil:
		return field.ErrorList{field.Required(at.Child("selector"), "")}
	case err != nil:
		return nil // said of the selector itself
	}
	faults = when(!selector.Matches(have), field.Invalid(p, j.Spec.Template.Labels, "`selector` does not match template `labels`"))
	if deref(j.Spec.CompletionMode) == batchv1.IndexedCompletion && deref(j.Spec.Completions) > 0 {
		last := fmt.Sprintf("%s-%d", j.Name, *j.Spec.Completions-1)
		faults = append(faults, when(len(validation.IsDNS1123Label(last)) > 0, field.Invalid(field.NewPath("metadata", "name"), j.Name, "will not able to create pod with invalid DNS label: "+last))...)
	}
	if deref(j.Spec.ManualSelector) {
		return faults
	}
	own := labels.Set{}
	for name, want := range map[string]string{"controller-uid": string(j.UID), "job-name": j.Name, batchv1.ControllerUidLabel: string(j.UID), batchv1.JobNameLabel: j.Name} {
		own[name] = want
		faults = append(faults, when(have[name] != want, field.Invalid(p, j.Spec.Template.Labels, fmt.Sprintf("must be '%s'", want)))...)
	}
	return append(faults, when(!selector.Matches(own), field.Invalid(at.Child("selector"), s, "`selector` not auto-generated"))...)
}

// zoneFaults looks for a time zone in the database of this machine.
func zoneFaults(name string) []string {
	if name == "" {
		return []string{"timeZone must be nil or non-empty string"}
	}
	if strings.EqualFold(name, "Local") {
		return []string{"timeZone must be an explicit time zone as defined in https://www.iana.org/time-zones"}
	}
	if _, err := time.LoadLocation(name); err != nil {
		return []string{err.Error()}
	}
	return nil
}
