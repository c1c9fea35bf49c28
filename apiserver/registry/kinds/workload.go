package kinds

import (
	"context"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

// workload is what Deployments and ReplicaSets have in common.
type workload struct {
	wanted   **int32
	have     int32
	selector *metav1.LabelSelector
	template *corev1.PodTemplateSpec
}

// clearStatus is Rules.Prepare of what begins without a status.
func clearStatus(_ context.Context, _ string, o, old api.Object) {
	if status := reflect.ValueOf(o).Elem().FieldByName("Status"); old == nil && status.IsValid() {
		status.SetZero()
	}
}

// workloadRules are stored rules of a kind that makes pods: its columns add what is run, and which pods are counted; it may be scaled.
func workloadRules[T api.Object](k *api.Kind, stays func(string, T, T) field.ErrorList, of func(T) workload, columns ...registry.Column) registry.Rules {
	list := func(part func(corev1.Container) string) func(T) any {
		return func(o T) any { return strings.Join(texts(of(o).template.Spec.Containers, part), ",") }
	}
	r := stored(k, stays, columns...)
	if k.HasSub("scale") {
		r.Subs = map[string]registry.Sub{"scale": scaleOf(of)}
	}
	r.Columns = append(r.Columns, wide(
		column("Containers", "string", "Names of each container in the template.", list(func(c corev1.Container) string { return c.Name })),
		column("Images", "string", "Images referenced by each container in the template.", list(func(c corev1.Container) string { return c.Image })),
		column("Selector", "string", "Which pods belong to the object.", func(o T) any { return metav1.FormatLabelSelector(of(o).selector) }),
	)...)
	return r
}

// readyOf is the column of how many pods are ready, of those desired.
func readyOf[T api.Object](of func(T) (ready int32, wanted *int32)) registry.Column {
	return column("Ready", "string", "Number of pods that are ready, of those desired.", func(o T) any {
		ready, wanted := of(o)
		return fmt.Sprintf("%d/%d", ready, deref(wanted))
	})
}

func replicaColumns[T api.Object]() []registry.Column {
	return []registry.Column{counted[T]("Desired", "spec.replicas", "Number of desired pods."), counted[T]("Current", "status.replicas", "Number of pods that exist."),
		counted[T]("Ready", "status.readyReplicas", "Number of pods that are ready."), registry.AgeColumn}
}

// workloadChecks are the faults of Deployments and ReplicaSets.
var workloadChecks = []rule{
	fields[appsv1.DeploymentSpec]("replicas minReadySeconds revisionHistoryLimit progressDeadlineSeconds", notNegative),
	fields[appsv1.ReplicaSetSpec]("replicas minReadySeconds", notNegative),
	fields[appsv1.DeploymentStatus]("observedGeneration replicas updatedReplicas readyReplicas availableReplicas unavailableReplicas collisionCount", notNegative),
	fields[appsv1.ReplicaSetStatus]("observedGeneration replicas fullyLabeledReplicas readyReplicas availableReplicas", notNegative),
	fields[appsv1.DeploymentStrategy]("type", oneOf(appsv1.RecreateDeploymentStrategyType, appsv1.RollingUpdateDeploymentStrategyType)),
	fields[appsv1.RollingUpdateDeployment]("maxSurge maxUnavailable", some(intOrPercent)),
	each(templateChecks),
	each(func(at *field.Path, s *appsv1.DeploymentSpec) field.ErrorList {
		return owns(at, s.Selector, &s.Template)
	}),
	each(func(at *field.Path, s *appsv1.ReplicaSetSpec) field.ErrorList {
		return owns(at, s.Selector, &s.Template)
	}),
	wrong("progressDeadlineSeconds", "must be greater than minReadySeconds", func(s *appsv1.DeploymentSpec) (any, bool) {
		return deref(s.ProgressDeadlineSeconds), s.ProgressDeadlineSeconds != nil && *s.ProgressDeadlineSeconds <= s.MinReadySeconds
	}),
	forbidden("rollingUpdate", "may not be specified when strategy `type` is 'Recreate'", func(s *appsv1.DeploymentStrategy) bool { return !rolls(s) && s.RollingUpdate != nil }),
	missing("rollingUpdate", "this should be defaulted and never be nil", func(s *appsv1.DeploymentStrategy) bool { return rolls(s) && s.RollingUpdate == nil }),
	fields[appsv1.RollingUpdateDeployment]("maxUnavailable", some(atMostAll)),
	wrong("maxUnavailable", "may not be 0 when `maxSurge` is 0", func(r *appsv1.RollingUpdateDeployment) (any, bool) { // nothing could ever move
		return deref(r.MaxUnavailable), intOf(deref(r.MaxUnavailable)) == 0 && intOf(deref(r.MaxSurge)) == 0
	}),
	each(func(at *field.Path, s *appsv1.DeploymentStatus) field.ErrorList {
		return counts(at, s.Replicas, s.ReadyReplicas, s.AvailableReplicas, "updatedReplicas", s.UpdatedReplicas)
	}),
	each(func(at *field.Path, s *appsv1.ReplicaSetStatus) field.ErrorList {
		return counts(at, s.Replicas, s.ReadyReplicas, s.AvailableReplicas, "fullyLabeledReplicas", s.FullyLabeledReplicas)
	}),
}

func rolls(s *appsv1.DeploymentStrategy) bool {
	return s.Type == appsv1.RollingUpdateDeploymentStrategyType
}

// ownsPods: a selector by which an object recognises what it owns must find the pods that it makes, and not all others.
func ownsPods(at *field.Path, s *metav1.LabelSelector, t *corev1.PodTemplateSpec) (faults field.ErrorList) {
	p := at.Child("selector")
	selector, err := metav1.LabelSelectorAsSelector(s)
	switch {
	case s == nil:
		faults = field.ErrorList{field.Required(p, "")}
	case err != nil:
		return field.ErrorList{field.Invalid(p, s, "invalid label selector")}
	case selector.Empty():
		return field.ErrorList{field.Invalid(p, s, "empty selector is invalid: it would select every pod")}
	}
	return append(faults, when(!selector.Matches(labels.Set(t.Labels)), field.Invalid(at.Child("template", "metadata", "labels"), t.Labels, "`selector` does not match template `labels`"))...)
}

func counts(at *field.Path, all, ready, available int32, other string, n int32) (faults field.ErrorList) {
	for name, n := range map[string]int32{other: n, "readyReplicas": ready, "availableReplicas": available} {
		faults = append(faults, when(n > all, field.Invalid(at.Child(name), n, "cannot be greater than status.replicas"))...)
	}
	return append(faults, when(available > ready, field.Invalid(at.Child("availableReplicas"), available, "cannot be greater than readyReplicas"))...)
}

// intOrPercent checks "3" and "25%" alike.
func intOrPercent(at *field.Path, v intstr.IntOrString) field.ErrorList {
	if v.Type == intstr.String {
		return invalid(at, v, validation.IsValidPercent(v.StrVal))
	}
	return when(v.IntVal < 0, field.Invalid(at, v.IntVal, "must be greater than or equal to 0"))
}

// intOf is the number in front of the percent sign, or the number itself; 0 when neither can be read.
func intOf(v intstr.IntOrString) int {
	if v.Type == intstr.Int {
		return int(v.IntVal)
	}
	n, _ := strconv.Atoi(strings.TrimSuffix(v.StrVal, "%"))
	return n
}

var scaleKind = schema.GroupKind{Group: autoscalingv1.GroupName, Kind: "Scale"}

// scaleOf makes the subresource "scale": the one number that autoscalers and `ctl scale` change, in one form for every kind.
func scaleOf[T api.Object](of func(T) workload) registry.Sub {
	return registry.Sub{
		New: func() api.Object { return newScale() },
		Get: func(o api.Object) (api.Object, error) { return readScale(o, of(o.(T))), nil },
		Into: func(body, o api.Object) error {
			scale := body.(*autoscalingv1.Scale)
			if faults := notNegative(field.NewPath("spec", "replicas"), reflect.ValueOf(scale.Spec.Replicas)); len(faults) > 0 {
				return apierrors.NewInvalid(scaleKind, o.GetName(), faults)
			}
			*of(o.(T)).wanted = &scale.Spec.Replicas
			return nil
		},
	}
}

func newScale() *autoscalingv1.Scale {
	return &autoscalingv1.Scale{TypeMeta: metav1.TypeMeta{APIVersion: autoscalingv1.SchemeGroupVersion.String(), Kind: scaleKind.Kind}}
}

func readScale(o api.Object, s workload) api.Object {
	scale := newScale()
	scale.ObjectMeta = metav1.ObjectMeta{Name: o.GetName(), Namespace: o.GetNamespace(), UID: o.GetUID(),
		ResourceVersion: o.GetResourceVersion(), CreationTimestamp: o.GetCreationTimestamp()}
	scale.Spec.Replicas = deref(*s.wanted)
	scale.Status.Replicas = s.have
	if selector, err := metav1.LabelSelectorAsSelector(s.selector); err == nil {
		scale.Status.Selector = selector.String()
	}
	return scale
}
