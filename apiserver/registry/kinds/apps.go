package kinds

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

// The workloads that wait for their controllers: StatefulSets, DaemonSets, ReplicationControllers; and the revisions that they will write.

func statefulSetRules() registry.Rules {
	type set = appsv1.StatefulSet
	r := workloadRules(api.StatefulSetKind, fixed[*set]("spec.selector spec.volumeClaimTemplates spec.serviceName spec.podManagementPolicy"), func(s *set) workload {
		return workload{wanted: &s.Spec.Replicas, have: s.Status.Replicas, selector: s.Spec.Selector, template: &s.Spec.Template}
	}, readyOf(func(s *set) (int32, *int32) { return s.Status.ReadyReplicas, s.Spec.Replicas }), registry.AgeColumn)
	r.Columns, r.Name = r.Columns[:len(r.Columns)-1], apivalidation.NameIsDNSLabel // upstream leaves the selector out
	check := r.Validate
	r.Validate = func(sub string, o, old api.Object) field.ErrorList {
		return check(sub, claimed(o.(*appsv1.StatefulSet)), old)
	}
	return r
}

// claimed adds to a template the volumes that its set will make of its claims: containers may mount them.
func claimed(s *appsv1.StatefulSet) api.Object {
	if len(s.Spec.VolumeClaimTemplates) == 0 {
		return s
	}
	s = s.DeepCopy()
	own := s.Spec.Template.Spec.Volumes
	s.Spec.Template.Spec.Volumes = nil
	names := map[string]bool{}
	for _, c := range s.Spec.VolumeClaimTemplates {
		if names[c.Name] {
			continue
		}
		names[c.Name] = true
		source := corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{ClaimName: c.Name}}
		s.Spec.Template.Spec.Volumes = append(s.Spec.Template.Spec.Volumes, corev1.Volume{Name: c.Name, VolumeSource: source})
	}
	for _, v := range own {
		if !names[v.Name] {
			s.Spec.Template.Spec.Volumes = append(s.Spec.Template.Spec.Volumes, v)
		}
	}
	return s
}

func daemonSetRules() registry.Rules {
	type set = appsv1.DaemonSet
	r := workloadRules(api.DaemonSetKind, fixed[*set]("spec.selector"), func(d *set) workload { return workload{selector: d.Spec.Selector, template: &d.Spec.Template} },
		counted[*set]("Desired", "status.desiredNumberScheduled", "Number of nodes that should run a pod of it."),
		counted[*set]("Current", "status.currentNumberScheduled", "Number of these that have one."),
		counted[*set]("Ready", "status.numberReady", "Number of these whose pod is ready."),
		counted[*set]("Up-to-date", "status.updatedNumberScheduled", "Number of these whose pod is made from the newest template."),
		counted[*set]("Available", "status.numberAvailable", "Number of these whose pod has been ready for minReadySeconds."),
		column("Node Selector", "string", "Which nodes it is for.", func(d *set) any { return labels.FormatLabels(d.Spec.Template.Spec.NodeSelector) }),
		registry.AgeColumn)
	r.Prepare = func(ctx context.Context, sub string, o, old api.Object) {
		clearStatus(ctx, sub, o, old)
		countTemplates(sub, o.(*set), old)
	}
	return r
}

// countTemplates keeps the count of a DaemonSet's templates where apps/v1 has it since it is no field any more: in an annotation.
func countTemplates(sub string, d *appsv1.DaemonSet, old api.Object) {
	count := int64(1)
	if before, update := old.(*appsv1.DaemonSet); update {
		count, _ = strconv.ParseInt(before.Annotations[appsv1.DeprecatedTemplateGeneration], 10, 64)
		if sub == "" && !apiequality.Semantic.DeepEqual(before.Spec.Template, d.Spec.Template) {
			count++
		}
	}
	metav1.SetMetaDataAnnotation(&d.ObjectMeta, appsv1.DeprecatedTemplateGeneration, strconv.FormatInt(max(count, 1), 10))
}

func replicationControllerRules() registry.Rules {
	r := workloadRules(api.ReplicationControllerKind, nil, func(r *corev1.ReplicationController) workload {
		return workload{wanted: &r.Spec.Replicas, have: r.Status.Replicas, selector: &metav1.LabelSelector{MatchLabels: r.Spec.Selector}, template: cmp.Or(r.Spec.Template, &corev1.PodTemplateSpec{})}
	}, replicaColumns[*corev1.ReplicationController]()...)
	r.Fields = selectable[*corev1.ReplicationController]("status.replicas")
	return r
}

func controllerRevisionRules() registry.Rules {
	return stored(api.ControllerRevisionKind, fixed[*appsv1.ControllerRevision]("data"),
		column("Controller", "string", "Whose revision it is.", func(r *appsv1.ControllerRevision) any {
			if owner := metav1.GetControllerOf(r); owner != nil {
				if k := api.Builtin.Find(owner.Kind); k != nil {
					return k.Singular + "." + k.Group + "/" + owner.Name
				}
				return owner.Kind + "/" + owner.Name
			}
			return none
		}),
		column("Revision", "string", "Its number.", func(r *appsv1.ControllerRevision) any { return r.Revision }), registry.AgeColumn)
}

func podTemplateRules() registry.Rules {
	pods := column("Pod Labels", "string", "The labels of pods made from it.", func(p *corev1.PodTemplate) any { return labels.FormatLabels(p.Template.Labels) })
	r := workloadRules(api.PodTemplateKind, nil, func(p *corev1.PodTemplate) workload { return workload{template: &p.Template} }, registry.AgeColumn)
	r.Columns = []registry.Column{registry.NameColumn, r.Columns[2], r.Columns[3], pods}
	r.Columns[1].Wide, r.Columns[2].Wide = false, false
	return r
}

var appsDefaults = []rule{
	filled(func(s *appsv1.StatefulSetSpec) {
		fill(&s.PodManagementPolicy, appsv1.OrderedReadyPodManagement)
		fillPtr(&s.Replicas, 1)
		fillPtr(&s.RevisionHistoryLimit, 10)
		fillPtr(&s.PersistentVolumeClaimRetentionPolicy, appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{})
		if s.UpdateStrategy.Type == "" {
			s.UpdateStrategy.Type = appsv1.RollingUpdateStatefulSetStrategyType
			fillPtr(&s.UpdateStrategy.RollingUpdate, appsv1.RollingUpdateStatefulSetStrategy{})
		}
		if r := s.UpdateStrategy.RollingUpdate; r != nil && s.UpdateStrategy.Type == appsv1.RollingUpdateStatefulSetStrategyType {
			fillPtr(&r.Partition, 0)
			fillPtr(&r.MaxUnavailable, intstr.FromInt32(1))
		}
		for i := range s.VolumeClaimTemplates {
			s.VolumeClaimTemplates[i].TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "PersistentVolumeClaim"}
		}
	}),
	filled(func(p *appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy) {
		fill(&p.WhenDeleted, appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
		fill(&p.WhenScaled, appsv1.RetainPersistentVolumeClaimRetentionPolicyType)
	}),
	filled(func(s *appsv1.DaemonSetSpec) {
		fillPtr(&s.RevisionHistoryLimit, 10)
		fill(&s.UpdateStrategy.Type, appsv1.RollingUpdateDaemonSetStrategyType)
		if s.UpdateStrategy.Type == appsv1.RollingUpdateDaemonSetStrategyType {
			fillPtr(&s.UpdateStrategy.RollingUpdate, appsv1.RollingUpdateDaemonSet{})
			fillPtr(&s.UpdateStrategy.RollingUpdate.MaxUnavailable, intstr.FromInt32(1))
			fillPtr(&s.UpdateStrategy.RollingUpdate.MaxSurge, intstr.FromInt32(0))
		}
	}),
	filled(func(r *corev1.ReplicationController) {
		fillPtr(&r.Spec.Replicas, 1)
		if t := r.Spec.Template; t != nil && len(r.Spec.Selector) == 0 {
			r.Spec.Selector = maps.Clone(t.Labels)
		}
		if t := r.Spec.Template; t != nil && len(r.Labels) == 0 {
			r.Labels = maps.Clone(t.Labels)
		}
	}),
	filled(func(s *appsv1.DeploymentSpec) {
		fillPtr(&s.Replicas, 1)
		fillPtr(&s.RevisionHistoryLimit, 10)
		fillPtr(&s.ProgressDeadlineSeconds, 600)
		fill(&s.Strategy.Type, appsv1.RollingUpdateDeploymentStrategyType)
		if s.Strategy.Type == appsv1.RollingUpdateDeploymentStrategyType {
			fillPtr(&s.Strategy.RollingUpdate, appsv1.RollingUpdateDeployment{})
			fillPtr(&s.Strategy.RollingUpdate.MaxUnavailable, intstr.FromString("25%"))
			fillPtr(&s.Strategy.RollingUpdate.MaxSurge, intstr.FromString("25%"))
		}
	}),
	filled(func(s *appsv1.ReplicaSetSpec) { fillPtr(&s.Replicas, 1) }),
}

// appsChecks: field by field, then what belongs together.
var appsChecks = []rule{
	fields[appsv1.StatefulSetSpec]("podManagementPolicy", oneOfOrInvalid(appsv1.OrderedReadyPodManagement, appsv1.ParallelPodManagement)),
	fields[appsv1.StatefulSetSpec]("replicas minReadySeconds", notNegative),
	fields[appsv1.StatefulSetSpec]("serviceName", optional(label)),
	fields[appsv1.StatefulSetOrdinals]("start", notNegative),
	fields[appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy]("whenDeleted whenScaled", oneOf(appsv1.RetainPersistentVolumeClaimRetentionPolicyType, appsv1.DeletePersistentVolumeClaimRetentionPolicyType)),
	fields[appsv1.RollingUpdateStatefulSetStrategy]("partition", notNegative),
	fields[appsv1.RollingUpdateStatefulSetStrategy]("maxUnavailable", some(intOrPercent), some(func(at *field.Path, v intstr.IntOrString) field.ErrorList {
		return append(when(intOf(v) == 0, field.Invalid(at, v, "cannot be 0")), atMostAll(at, v)...)
	})),
	fields[appsv1.StatefulSetStatus]("replicas readyReplicas currentReplicas updatedReplicas availableReplicas observedGeneration collisionCount", notNegative),
	each(func(at *field.Path, s *appsv1.StatefulSetSpec) field.ErrorList {
		return owns(at, s.Selector, &s.Template)
	}),
	each(func(at *field.Path, s *appsv1.StatefulSetUpdateStrategy) field.ErrorList {
		rolls := s.Type == appsv1.RollingUpdateStatefulSetStrategyType
		return append(when(!rolls && s.Type != appsv1.OnDeleteStatefulSetStrategyType, field.Invalid(at, s, "must be 'RollingUpdate' or 'OnDelete'")),
			when(s.Type == appsv1.OnDeleteStatefulSetStrategyType && s.RollingUpdate != nil, field.Invalid(at.Child("rollingUpdate"), s.RollingUpdate, "only allowed for updateStrategy 'RollingUpdate'"))...)
	}),
	each(func(at *field.Path, s *appsv1.StatefulSetStatus) field.ErrorList {
		return append(counts(at, s.Replicas, s.ReadyReplicas, s.AvailableReplicas, "updatedReplicas", s.UpdatedReplicas),
			when(s.CurrentReplicas > s.Replicas, field.Invalid(at.Child("currentReplicas"), s.CurrentReplicas, "cannot be greater than status.replicas"))...)
	}),

	fields[appsv1.DaemonSetSpec]("minReadySeconds revisionHistoryLimit", notNegative),
	fields[appsv1.DaemonSetStatus](`currentNumberScheduled numberMisscheduled desiredNumberScheduled numberReady observedGeneration updatedNumberScheduled
		numberAvailable numberUnavailable collisionCount`, notNegative),
	each(func(at *field.Path, s *appsv1.DaemonSetSpec) field.ErrorList {
		return owns(at, s.Selector, &s.Template)
	}),
	each(func(at *field.Path, s *appsv1.DaemonSetUpdateStrategy) field.ErrorList {
		rolls := s.Type == appsv1.RollingUpdateDaemonSetStrategyType
		return append(when(!rolls && s.Type != appsv1.OnDeleteDaemonSetStrategyType, field.NotSupported(at, s.Type, []appsv1.DaemonSetUpdateStrategyType{appsv1.RollingUpdateDaemonSetStrategyType, appsv1.OnDeleteDaemonSetStrategyType})),
			when(rolls && s.RollingUpdate == nil, field.Required(at.Child("rollingUpdate"), ""))...)
	}),
	fields[appsv1.RollingUpdateDaemonSet]("maxUnavailable maxSurge", some(intOrPercent), some(atMostAll)),
	each(func(at *field.Path, r *appsv1.RollingUpdateDaemonSet) field.ErrorList {
		unavailable, surge := intOf(deref(r.MaxUnavailable)) != 0, intOf(deref(r.MaxSurge)) != 0
		return append(when(unavailable && surge, field.Invalid(at.Child("maxSurge"), r.MaxSurge, "may not be set when maxUnavailable is non-zero")),
			when(!unavailable && !surge, field.Required(at.Child("maxUnavailable"), "cannot be 0 when maxSurge is 0"))...)
	}),

	fields[corev1.ReplicationControllerSpec]("replicas minReadySeconds", notNegative),
	fields[corev1.ReplicationControllerSpec]("selector", required()),
	fields[corev1.ReplicationControllerStatus]("replicas fullyLabeledReplicas readyReplicas availableReplicas observedGeneration", notNegative),
	each(func(at *field.Path, s *corev1.ReplicationControllerSpec) field.ErrorList {
		if at = at.Child("template"); s.Template == nil {
			return field.ErrorList{field.Required(at, "")}
		}
		return append(runsForEver(at, s.Template), when(len(s.Selector) > 0 && !labels.SelectorFromSet(s.Selector).Matches(labels.Set(s.Template.Labels)),
			field.Invalid(at.Child("metadata", "labels"), s.Template.Labels, "`selector` does not match template `labels`"))...)
	}),
	each(func(at *field.Path, s *corev1.ReplicationControllerStatus) field.ErrorList {
		return counts(at, s.Replicas, s.ReadyReplicas, s.AvailableReplicas, "fullyLabeledReplicas", s.FullyLabeledReplicas)
	}),

	fields[appsv1.ControllerRevision]("revision", notNegative),
	each(func(_ *field.Path, r *appsv1.ControllerRevision) field.ErrorList {
		var data map[string]json.RawMessage
		switch at := field.NewPath("data"); {
		case len(r.Data.Raw) == 0 || string(r.Data.Raw) == "null":
			return field.ErrorList{field.Required(at, "data is mandatory")}
		case !json.Valid(r.Data.Raw):
			return field.ErrorList{field.Invalid(at, "<value omitted>", "error parsing data: it is no JSON")}
		default:
			return when(json.Unmarshal(r.Data.Raw, &data) != nil, field.Required(at, "data must be a valid JSON object"))
		}
	}),
}

// owns: its selector finds its pods, and they are meant to run for ever.
func owns(at *field.Path, s *metav1.LabelSelector, t *corev1.PodTemplateSpec) field.ErrorList {
	return append(ownsPods(at, s, t), runsForEver(at.Child("template"), t)...)
}

func atMostAll(at *field.Path, v intstr.IntOrString) field.ErrorList {
	return when(v.Type == intstr.String && intOf(v) > 100, field.Invalid(at, v, "must not be greater than 100%"))
}

// oneOfOrInvalid is oneOf where Kubernetes calls another word invalid, not unsupported.
func oneOfOrInvalid[T ~string](allowed ...T) check {
	return func(at *field.Path, v reflect.Value) (faults field.ErrorList) {
		for _, f := range oneOf(allowed...)(at, v) {
			if f.Type == field.ErrorTypeNotSupported {
				f.Type, f.Detail = field.ErrorTypeInvalid, fmt.Sprintf("must be one of %q", allowed)
			}
			faults = append(faults, f)
		}
		return faults
	}
}
