package api

import (
	"cmp"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"

	old "k8s.io/api/autoscaling/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Conversions between the stored form of an object and the other forms in which it is served. They take what they return from their argument, and
// leave that as it is.

func kindOf(version, kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: version, Kind: kind}
}

func newEvent(o Object) (Object, error) {
	e := o.(*corev1.Event)
	return &eventsv1.Event{TypeMeta: kindOf("events.k8s.io/v1", "Event"), ObjectMeta: e.ObjectMeta, EventTime: e.EventTime, Series: (*eventsv1.EventSeries)(e.Series), ReportingController: e.ReportingController,
		ReportingInstance: e.ReportingInstance, Action: e.Action, Reason: e.Reason, Regarding: e.InvolvedObject, Related: e.Related, Note: e.Message, Type: e.Type,
		DeprecatedSource: e.Source, DeprecatedFirstTimestamp: e.FirstTimestamp, DeprecatedLastTimestamp: e.LastTimestamp, DeprecatedCount: e.Count}, nil
}

func oldEvent(o Object) (Object, error) {
	n := o.(*eventsv1.Event)
	return &corev1.Event{TypeMeta: kindOf("v1", "Event"), ObjectMeta: n.ObjectMeta, EventTime: n.EventTime, Series: (*corev1.EventSeries)(n.Series), ReportingController: n.ReportingController,
		ReportingInstance: n.ReportingInstance, Action: n.Action, Reason: n.Reason, InvolvedObject: n.Regarding, Related: n.Related, Message: n.Note, Type: n.Type,
		Source: n.DeprecatedSource, FirstTimestamp: n.DeprecatedFirstTimestamp, LastTimestamp: n.DeprecatedLastTimestamp, Count: n.DeprecatedCount}, nil
}

// The annotations in which autoscaling/v1 carries what it has no fields for, each as JSON.
const (
	annotatedMetrics    = "autoscaling.alpha.kubernetes.io/metrics"
	annotatedBehavior   = "autoscaling.alpha.kubernetes.io/behavior"
	annotatedReadings   = "autoscaling.alpha.kubernetes.io/current-metrics"
	annotatedConditions = "autoscaling.alpha.kubernetes.io/conditions"
)

// usualUtilization is what autoscaling/v1 means by no metric at all, in percent.
const usualUtilization int32 = 80

func oldAutoscaler(o Object) (Object, error) {
	h := o.(*autoscaling.HorizontalPodAutoscaler).DeepCopy()
	a := &old.HorizontalPodAutoscaler{TypeMeta: kindOf("autoscaling/v1", "HorizontalPodAutoscaler"), ObjectMeta: h.ObjectMeta,
		Spec: old.HorizontalPodAutoscalerSpec{ScaleTargetRef: old.CrossVersionObjectReference(h.Spec.ScaleTargetRef), MinReplicas: h.Spec.MinReplicas, MaxReplicas: h.Spec.MaxReplicas},
		Status: old.HorizontalPodAutoscalerStatus{ObservedGeneration: h.Status.ObservedGeneration, LastScaleTime: h.Status.LastScaleTime,
			CurrentReplicas: h.Status.CurrentReplicas, DesiredReplicas: h.Status.DesiredReplicas}}
	unannotate(a.Annotations)
	var metrics []old.MetricSpec
	for _, m := range h.Spec.Metrics {
		if m.Resource == nil || m.Resource.Name != corev1.ResourceCPU || m.Resource.Target.AverageUtilization == nil {
			metrics = append(metrics, carry[old.MetricSpec](&m, inNew, inOld))
		} else if a.Spec.TargetCPUUtilizationPercentage == nil {
			a.Spec.TargetCPUUtilizationPercentage = m.Resource.Target.AverageUtilization
		}
	}
	var readings []old.MetricStatus
	for _, m := range h.Status.CurrentMetrics {
		if readings = append(readings, carry[old.MetricStatus](&m, inNew, inOld)); m.Resource != nil && m.Resource.Name == corev1.ResourceCPU {
			a.Status.CurrentCPUUtilizationPercentage = cmp.Or(m.Resource.Current.AverageUtilization, a.Status.CurrentCPUUtilizationPercentage)
		}
	}
	annotate(a, annotatedMetrics, metrics, len(metrics) > 0)
	annotate(a, annotatedReadings, readings, len(readings) > 0)
	annotate(a, annotatedBehavior, h.Spec.Behavior, h.Spec.Behavior != nil)
	annotate(a, annotatedConditions, h.Status.Conditions, len(h.Status.Conditions) > 0)
	return a, nil
}

func newAutoscaler(o Object) (Object, error) {
	a := o.(*old.HorizontalPodAutoscaler).DeepCopy()
	h := &autoscaling.HorizontalPodAutoscaler{TypeMeta: kindOf("autoscaling/v2", "HorizontalPodAutoscaler"), ObjectMeta: a.ObjectMeta,
		Spec: autoscaling.HorizontalPodAutoscalerSpec{ScaleTargetRef: autoscaling.CrossVersionObjectReference(a.Spec.ScaleTargetRef), MinReplicas: a.Spec.MinReplicas, MaxReplicas: a.Spec.MaxReplicas},
		Status: autoscaling.HorizontalPodAutoscalerStatus{ObservedGeneration: a.Status.ObservedGeneration, LastScaleTime: a.Status.LastScaleTime,
			CurrentReplicas: a.Status.CurrentReplicas, DesiredReplicas: a.Status.DesiredReplicas}}
	for _, m := range annotated[[]old.MetricSpec](a, annotatedMetrics) {
		h.Spec.Metrics = append(h.Spec.Metrics, newMetric(m))
	}
	cpu := a.Spec.TargetCPUUtilizationPercentage
	if cpu == nil && len(h.Spec.Metrics) == 0 {
		cpu = new(usualUtilization)
	}
	if cpu != nil {
		h.Spec.Metrics = append(h.Spec.Metrics, newMetric(old.MetricSpec{Type: old.ResourceMetricSourceType,
			Resource: &old.ResourceMetricSource{Name: corev1.ResourceCPU, TargetAverageUtilization: cpu}}))
	}
	readings := annotated[[]old.MetricStatus](a, annotatedReadings)
	if now := a.Status.CurrentCPUUtilizationPercentage; now != nil && readings == nil {
		readings = []old.MetricStatus{{Type: old.ResourceMetricSourceType, Resource: &old.ResourceMetricStatus{Name: corev1.ResourceCPU, CurrentAverageUtilization: now}}}
	}
	for _, m := range readings {
		h.Status.CurrentMetrics = append(h.Status.CurrentMetrics, carry[autoscaling.MetricStatus](&m, inOld, inNew))
	}
	h.Spec.Behavior = annotated[*autoscaling.HorizontalPodAutoscalerBehavior](a, annotatedBehavior)
	h.Status.Conditions = annotated[[]autoscaling.HorizontalPodAutoscalerCondition](a, annotatedConditions)
	unannotate(h.Annotations)
	return h, nil
}

func annotate(a *old.HorizontalPodAutoscaler, name string, value any, set bool) {
	if text, err := json.Marshal(value); set && err == nil { // all of these can be marshalled
		a.Annotations = maps.Clone(a.Annotations)
		if a.Annotations == nil {
			a.Annotations = map[string]string{}
		}
		a.Annotations[name] = string(text)
	}
}

// annotated reads what annotate wrote; what cannot be read is not there, as in Kubernetes.
func annotated[T any](a *old.HorizontalPodAutoscaler, name string) (value T) {
	if json.Unmarshal([]byte(a.Annotations[name]), &value) != nil {
		var none T
		return none
	}
	return value
}

func unannotate(annotations map[string]string) {
	maps.DeleteFunc(annotations, func(name, _ string) bool {
		return slices.Contains([]string{annotatedMetrics, annotatedReadings, annotatedBehavior, annotatedConditions}, name)
	})
}

func newMetric(m old.MetricSpec) autoscaling.MetricSpec {
	n := carry[autoscaling.MetricSpec](&m, inOld, inNew)
	if o := n.Object; o != nil && o.Target.AverageValue != nil && o.Target.Value.IsZero() {
		o.Target.Value = nil
	}
	return n
}

const inNew, inOld = 0, 1

// metricPlaces are where something lies in a source of metrics: in autoscaling/v2, and in v1. No source has all of them.
var metricPlaces = [][2]string{
	{"Name", "Name"}, {"Container", "Container"}, {"DescribedObject", "Target"}, {"Metric.Name", "MetricName"}, {"Metric.Selector", "Selector"}, {"Metric.Selector", "MetricSelector"},
	{"Target.Value", "TargetValue"}, {"Target.AverageValue", "AverageValue"}, {"Target.AverageValue", "TargetAverageValue"}, {"Target.AverageUtilization", "TargetAverageUtilization"},
	{"Current.Value", "CurrentValue"}, {"Current.AverageValue", "AverageValue"}, {"Current.AverageValue", "CurrentAverageValue"}, {"Current.AverageUtilization", "CurrentAverageUtilization"},
}

// carry makes a metric of one of the other version, which from points to: of each source that is set, what lies at its places.
func carry[T any](from any, in, out int) (to T) {
	have, made := reflect.ValueOf(from).Elem(), reflect.ValueOf(&to).Elem()
	made.FieldByName("Type").SetString(have.FieldByName("Type").String())
	for _, name := range []string{"Object", "Pods", "Resource", "ContainerResource", "External"} {
		source, copied := have.FieldByName(name).Elem(), made.FieldByName(name)
		if !source.IsValid() {
			continue
		}
		copied.Set(reflect.New(copied.Type().Elem()))
		for _, place := range metricPlaces {
			put(at(copied.Elem(), place[out]), at(source, place[in]))
		}
		if target := at(copied.Elem(), "Target.Type"); target.IsValid() {
			target.SetString(string(aimOf(at(copied.Elem(), "Target").Interface().(autoscaling.MetricTarget))))
		}
	}
	return to
}

// at is the field at a path of names in a struct; invalid if it has none.
func at(v reflect.Value, path string) reflect.Value {
	for name := range strings.SplitSeq(path, ".") {
		if v = v.FieldByName(name); !v.IsValid() {
			break
		}
	}
	return v
}

// put copies a value that may be behind a pointer to where it may stand behind one, if both are there.
func put(to, from reflect.Value) {
	switch {
	case !to.IsValid() || !from.IsValid():
	case to.Kind() == from.Kind():
		to.Set(from.Convert(to.Type()))
	case to.Kind() == reflect.Pointer:
		to.Set(reflect.New(to.Type().Elem()))
		to.Elem().Set(from)
	case !from.IsNil():
		to.Set(from.Elem())
	}
}

func aimOf(t autoscaling.MetricTarget) autoscaling.MetricTargetType {
	switch {
	case t.AverageUtilization != nil:
		return autoscaling.UtilizationMetricType
	case t.Value != nil && t.AverageValue == nil:
		return autoscaling.ValueMetricType
	}
	return autoscaling.AverageValueMetricType
}
