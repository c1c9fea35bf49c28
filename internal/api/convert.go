package api

import (
	"cmp"
	"encoding/json"
	"maps"
	"slices"

	old "k8s.io/api/autoscaling/v1"
	autoscaling "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/resource"
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
			metrics = append(metrics, oldMetric(m))
		} else if a.Spec.TargetCPUUtilizationPercentage == nil {
			a.Spec.TargetCPUUtilizationPercentage = m.Resource.Target.AverageUtilization
		}
	}
	var readings []old.MetricStatus
	for _, m := range h.Status.CurrentMetrics {
		if readings = append(readings, oldReading(m)); m.Resource != nil && m.Resource.Name == corev1.ResourceCPU {
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
		h.Status.CurrentMetrics = append(h.Status.CurrentMetrics, newReading(m))
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

func oldMetric(m autoscaling.MetricSpec) old.MetricSpec {
	o := old.MetricSpec{Type: old.MetricSourceType(m.Type)}
	if s := m.Object; s != nil {
		o.Object = &old.ObjectMetricSource{Target: old.CrossVersionObjectReference(s.DescribedObject), MetricName: s.Metric.Name, Selector: s.Metric.Selector,
			TargetValue: amount(s.Target.Value), AverageValue: s.Target.AverageValue}
	}
	if s := m.Pods; s != nil {
		o.Pods = &old.PodsMetricSource{MetricName: s.Metric.Name, Selector: s.Metric.Selector, TargetAverageValue: amount(s.Target.AverageValue)}
	}
	if s := m.Resource; s != nil {
		o.Resource = &old.ResourceMetricSource{Name: s.Name, TargetAverageUtilization: s.Target.AverageUtilization, TargetAverageValue: s.Target.AverageValue}
	}
	if s := m.ContainerResource; s != nil {
		o.ContainerResource = &old.ContainerResourceMetricSource{Name: s.Name, Container: s.Container, TargetAverageUtilization: s.Target.AverageUtilization, TargetAverageValue: s.Target.AverageValue}
	}
	if s := m.External; s != nil {
		o.External = &old.ExternalMetricSource{MetricName: s.Metric.Name, MetricSelector: s.Metric.Selector, TargetValue: s.Target.Value, TargetAverageValue: s.Target.AverageValue}
	}
	return o
}

func newMetric(m old.MetricSpec) autoscaling.MetricSpec {
	n := autoscaling.MetricSpec{Type: autoscaling.MetricSourceType(m.Type)}
	if s := m.Object; s != nil {
		value := &s.TargetValue
		if s.AverageValue != nil && value.IsZero() {
			value = nil
		}
		n.Object = &autoscaling.ObjectMetricSource{DescribedObject: autoscaling.CrossVersionObjectReference(s.Target),
			Metric: autoscaling.MetricIdentifier{Name: s.MetricName, Selector: s.Selector}, Target: aim(nil, value, s.AverageValue)}
	}
	if s := m.Pods; s != nil {
		n.Pods = &autoscaling.PodsMetricSource{Metric: autoscaling.MetricIdentifier{Name: s.MetricName, Selector: s.Selector}, Target: aim(nil, nil, &s.TargetAverageValue)}
	}
	if s := m.Resource; s != nil {
		n.Resource = &autoscaling.ResourceMetricSource{Name: s.Name, Target: aim(s.TargetAverageUtilization, nil, s.TargetAverageValue)}
	}
	if s := m.ContainerResource; s != nil {
		n.ContainerResource = &autoscaling.ContainerResourceMetricSource{Name: s.Name, Container: s.Container, Target: aim(s.TargetAverageUtilization, nil, s.TargetAverageValue)}
	}
	if s := m.External; s != nil {
		n.External = &autoscaling.ExternalMetricSource{Metric: autoscaling.MetricIdentifier{Name: s.MetricName, Selector: s.MetricSelector}, Target: aim(nil, s.TargetValue, s.TargetAverageValue)}
	}
	return n
}

func aim(utilization *int32, value, average *resource.Quantity) autoscaling.MetricTarget {
	t := autoscaling.MetricTarget{Type: autoscaling.AverageValueMetricType, AverageUtilization: utilization, Value: value, AverageValue: average}
	switch {
	case utilization != nil:
		t.Type = autoscaling.UtilizationMetricType
	case value != nil && average == nil:
		t.Type = autoscaling.ValueMetricType
	}
	return t
}

func oldReading(m autoscaling.MetricStatus) old.MetricStatus {
	o := old.MetricStatus{Type: old.MetricSourceType(m.Type)}
	if s := m.Object; s != nil {
		o.Object = &old.ObjectMetricStatus{Target: old.CrossVersionObjectReference(s.DescribedObject), MetricName: s.Metric.Name, Selector: s.Metric.Selector,
			CurrentValue: amount(s.Current.Value), AverageValue: s.Current.AverageValue}
	}
	if s := m.Pods; s != nil {
		o.Pods = &old.PodsMetricStatus{MetricName: s.Metric.Name, Selector: s.Metric.Selector, CurrentAverageValue: amount(s.Current.AverageValue)}
	}
	if s := m.Resource; s != nil {
		o.Resource = &old.ResourceMetricStatus{Name: s.Name, CurrentAverageUtilization: s.Current.AverageUtilization, CurrentAverageValue: amount(s.Current.AverageValue)}
	}
	if s := m.ContainerResource; s != nil {
		o.ContainerResource = &old.ContainerResourceMetricStatus{Name: s.Name, Container: s.Container, CurrentAverageUtilization: s.Current.AverageUtilization, CurrentAverageValue: amount(s.Current.AverageValue)}
	}
	if s := m.External; s != nil {
		o.External = &old.ExternalMetricStatus{MetricName: s.Metric.Name, MetricSelector: s.Metric.Selector, CurrentValue: amount(s.Current.Value), CurrentAverageValue: s.Current.AverageValue}
	}
	return o
}

func newReading(m old.MetricStatus) autoscaling.MetricStatus {
	n := autoscaling.MetricStatus{Type: autoscaling.MetricSourceType(m.Type)}
	if s := m.Object; s != nil {
		n.Object = &autoscaling.ObjectMetricStatus{DescribedObject: autoscaling.CrossVersionObjectReference(s.Target),
			Metric: autoscaling.MetricIdentifier{Name: s.MetricName, Selector: s.Selector}, Current: autoscaling.MetricValueStatus{Value: &s.CurrentValue, AverageValue: s.AverageValue}}
	}
	if s := m.Pods; s != nil {
		n.Pods = &autoscaling.PodsMetricStatus{Metric: autoscaling.MetricIdentifier{Name: s.MetricName, Selector: s.Selector}, Current: autoscaling.MetricValueStatus{AverageValue: &s.CurrentAverageValue}}
	}
	if s := m.Resource; s != nil {
		n.Resource = &autoscaling.ResourceMetricStatus{Name: s.Name, Current: autoscaling.MetricValueStatus{AverageUtilization: s.CurrentAverageUtilization, AverageValue: &s.CurrentAverageValue}}
	}
	if s := m.ContainerResource; s != nil {
		n.ContainerResource = &autoscaling.ContainerResourceMetricStatus{Name: s.Name, Container: s.Container,
			Current: autoscaling.MetricValueStatus{AverageUtilization: s.CurrentAverageUtilization, AverageValue: &s.CurrentAverageValue}}
	}
	if s := m.External; s != nil {
		n.External = &autoscaling.ExternalMetricStatus{Metric: autoscaling.MetricIdentifier{Name: s.MetricName, Selector: s.MetricSelector},
			Current: autoscaling.MetricValueStatus{Value: &s.CurrentValue, AverageValue: s.CurrentAverageValue}}
	}
	return n
}

func amount(q *resource.Quantity) resource.Quantity {
	if q == nil {
		return resource.Quantity{}
	}
	return *q
}
