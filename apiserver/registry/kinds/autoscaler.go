package kinds

import (
	"fmt"
	"slices"
	"strings"

	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

type hpa = autoscalingv2.HorizontalPodAutoscaler

func autoscalerRules() registry.Rules {
	return stored[*hpa](api.HorizontalPodAutoscalerKind, nil,
		column("Reference", "string", "What is scaled.", func(h *hpa) any { return h.Spec.ScaleTargetRef.Kind + "/" + h.Spec.ScaleTargetRef.Name }),
		column("Targets", "string", "What is measured, of what it shall be.", hpaTargets),
		shown[*hpa]("MinPods", "spec.minReplicas", unset, "The fewest pods."),
		counted[*hpa]("MaxPods", "spec.maxReplicas", "The most pods."),
		counted[*hpa]("Replicas", "status.currentReplicas", "How many there are."), registry.AgeColumn)
}

// hpaTargets shows the first two metrics.
func hpaTargets(h *hpa) any {
	var all []string
	for i, m := range h.Spec.Metrics {
		all = append(all, hpaTarget(m, h.Status.CurrentMetrics, i))
	}
	switch n := len(all); {
	case n == 0:
		return none
	case n > 2:
		return fmt.Sprintf("%s + %d more...", strings.Join(all[:2], ", "), n-2)
	}
	return strings.Join(all, ", ")
}

func hpaTarget(m autoscalingv2.MetricSpec, readings []autoscalingv2.MetricStatus, i int) string {
	var r autoscalingv2.MetricStatus
	if i < len(readings) {
		r = readings[i]
	}
	name, want, have, suffix := "", autoscalingv2.MetricTarget{}, autoscalingv2.MetricValueStatus{}, " (avg)"
	switch {
	case m.Resource != nil:
		name, want, have, suffix = string(m.Resource.Name)+": ", m.Resource.Target, deref(r.Resource).Current, ""
	case m.ContainerResource != nil:
		name, want, have, suffix = string(m.ContainerResource.Name)+": ", m.ContainerResource.Target, deref(r.ContainerResource).Current, ""
	case m.Pods != nil:
		want, have, suffix = m.Pods.Target, deref(r.Pods).Current, ""
	case m.Object != nil:
		want, have = m.Object.Target, deref(r.Object).Current
	case m.External != nil:
		want, have = m.External.Target, deref(r.External).Current
	default:
		return "<unknown type>"
	}
	switch {
	case want.AverageValue != nil:
		return fmt.Sprintf("%s%s/%s%s", name, quantityOr(have.AverageValue), want.AverageValue, suffix)
	case want.Value != nil:
		return fmt.Sprintf("%s%s/%s", name, quantityOr(have.Value), want.Value)
	}
	percent := func(p *int32, instead string) string {
		if p == nil {
			return instead
		}
		return fmt.Sprintf("%d%%", *p)
	}
	return fmt.Sprintf("%s%s/%s", name, percent(have.AverageUtilization, unknown), percent(want.AverageUtilization, "<auto>"))
}

func quantityOr(q *resource.Quantity) string {
	if q == nil {
		return unknown
	}
	return q.String()
}

var hpaDefaults = []rule{
	filled(func(s *autoscalingv2.HorizontalPodAutoscalerSpec) {
		fillPtr(&s.MinReplicas, 1)
		if len(s.Metrics) == 0 {
			s.Metrics = []autoscalingv2.MetricSpec{{Type: autoscalingv2.ResourceMetricSourceType, Resource: &autoscalingv2.ResourceMetricSource{Name: corev1.ResourceCPU,
				Target: autoscalingv2.MetricTarget{Type: autoscalingv2.UtilizationMetricType, AverageUtilization: new(int32(80))}}}}
		}
	}),
	filled(func(b *autoscalingv2.HorizontalPodAutoscalerBehavior) {
		up := []autoscalingv2.HPAScalingPolicy{{Type: autoscalingv2.PodsScalingPolicy, Value: 4, PeriodSeconds: 15}, {Type: autoscalingv2.PercentScalingPolicy, Value: 100, PeriodSeconds: 15}}
		fillPtr(&b.ScaleUp, autoscalingv2.HPAScalingRules{})
		fillPtr(&b.ScaleUp.StabilizationWindowSeconds, 0)
		fillPtr(&b.ScaleDown, autoscalingv2.HPAScalingRules{})
		for r, policies := range map[*autoscalingv2.HPAScalingRules][]autoscalingv2.HPAScalingPolicy{b.ScaleUp: up, b.ScaleDown: up[1:]} {
			fillPtr(&r.SelectPolicy, autoscalingv2.MaxChangePolicySelect)
			if r.Policies == nil {
				r.Policies = policies
			}
		}
	}),
}

var (
	pathSegment = text(content.IsPathSegmentName)
	aboveZero   = some(func(at *field.Path, q resource.Quantity) field.ErrorList {
		return when(q.Sign() <= 0, field.Invalid(at, q.String(), "must be positive"))
	})
)

const (
	anAim       = "must set a target value"
	oneAim      = "must set either a target raw value or a target utilization"
	notBothAims = "may not set both a target raw value and a target utilization"
)

var hpaChecks = []rule{
	fields[autoscalingv2.HorizontalPodAutoscalerSpec]("minReplicas", notNegative),
	fields[autoscalingv2.HorizontalPodAutoscalerStatus]("currentReplicas desiredReplicas", notNegative),
	fields[autoscalingv2.HorizontalPodAutoscalerCondition]("observedGeneration", notNegative),
	fields[autoscalingv2.HorizontalPodAutoscalerSpec]("maxReplicas", required(positive)),
	fields[autoscalingv2.CrossVersionObjectReference]("kind name", required(pathSegment)),
	each(func(at *field.Path, s *autoscalingv2.HorizontalPodAutoscalerSpec) field.ErrorList {
		fromZero := slices.ContainsFunc(s.Metrics, func(m autoscalingv2.MetricSpec) bool {
			return m.Type == autoscalingv2.ObjectMetricSourceType || m.Type == autoscalingv2.ExternalMetricSourceType
		})
		ref := s.ScaleTargetRef.APIVersion
		gv, err := schema.ParseGroupVersion(ref)
		faults := when(err != nil || gv.Group == "", field.Invalid(at.Child("scaleTargetRef", "apiVersion"), ref, "apiVersion must specify API group"))
		faults = append(faults, when(s.MinReplicas != nil && s.MaxReplicas < *s.MinReplicas, field.Invalid(at.Child("maxReplicas"), s.MaxReplicas, "must be greater than or equal to `minReplicas`"))...)
		return append(faults, when(s.MinReplicas != nil && *s.MinReplicas == 0 && !fromZero, field.Forbidden(at.Child("metrics"), "must specify at least one Object or External metric to support scaling to zero replicas"))...)
	}),
	each(metricSource),
	missing("target.averageUtilization", oneAim, func(s *autoscalingv2.ResourceMetricSource) bool { return noAim(s.Target) }),
	missing("target.averageUtilization", oneAim, func(s *autoscalingv2.ContainerResourceMetricSource) bool { return noAim(s.Target) }),
	forbidden("target.averageValue", notBothAims, func(s *autoscalingv2.ResourceMetricSource) bool { return twoAims(s.Target) }),
	forbidden("target.averageValue", notBothAims, func(s *autoscalingv2.ContainerResourceMetricSource) bool { return twoAims(s.Target) }),
	missing("target.averageValue", anAim, func(s *autoscalingv2.PodsMetricSource) bool { return s.Target.AverageValue == nil }),
	missing("target.averageValue", anAim, func(s *autoscalingv2.ObjectMetricSource) bool {
		return s.Target.AverageValue == nil && s.Target.Value == nil
	}),
	missing("target.averageValue", anAim, func(s *autoscalingv2.ExternalMetricSource) bool {
		return s.Target.AverageValue == nil && s.Target.Value == nil
	}),
	forbidden("target.value", "may not set both a target value for metric and a per-pod target", func(s *autoscalingv2.ExternalMetricSource) bool {
		return s.Target.AverageValue != nil && s.Target.Value != nil
	}),
	fields[autoscalingv2.MetricIdentifier]("name", required(pathSegment)),
	each(func(at *field.Path, t *autoscalingv2.MetricTarget) field.ErrorList {
		known := slices.Contains([]autoscalingv2.MetricTargetType{autoscalingv2.UtilizationMetricType, autoscalingv2.ValueMetricType, autoscalingv2.AverageValueMetricType}, t.Type)
		at = at.Child("type")
		return append(when(t.Type == "", field.Required(at, "must specify a metric target type")), when(!known, field.Invalid(at, t.Type, "must be either Utilization, Value, or AverageValue"))...)
	}),
	fields[autoscalingv2.MetricTarget]("value averageValue", aboveZero),
	fields[autoscalingv2.MetricTarget]("averageUtilization", positive),
	fields[autoscalingv2.ResourceMetricSource]("name", required()),
	fields[autoscalingv2.ContainerResourceMetricSource]("name", required()),
	fields[autoscalingv2.ContainerResourceMetricSource]("container", required(label)),
	fields[autoscalingv2.HPAScalingRules]("stabilizationWindowSeconds", between(0, 3600, "must be from 0 to 3600")),
	fields[autoscalingv2.HPAScalingRules]("selectPolicy", oneOf(autoscalingv2.MaxChangePolicySelect, autoscalingv2.MinChangePolicySelect, autoscalingv2.DisabledPolicySelect)),
	fields[autoscalingv2.HPAScalingRules]("policies", required()),
	fields[autoscalingv2.HPAScalingRules]("tolerance", some(func(at *field.Path, q resource.Quantity) field.ErrorList {
		return when(q.Sign() < 0, field.Invalid(at, q.String(), "must be greater than or equal to 0"))
	})),
	fields[autoscalingv2.HPAScalingPolicy]("type", oneOfKnown(autoscalingv2.PodsScalingPolicy, autoscalingv2.PercentScalingPolicy)),
	fields[autoscalingv2.HPAScalingPolicy]("value", positive),
	fields[autoscalingv2.HPAScalingPolicy]("periodSeconds", between(1, 1800, "must be from 1 to 1800")),
}

// metricSource: a metric has the one source that its type names.
func metricSource(at *field.Path, m *autoscalingv2.MetricSpec) (faults field.ErrorList) {
	named := strings.ToLower(string(m.Type[:min(1, len(m.Type))])) + string(m.Type[min(1, len(m.Type)):])
	all := []string{"object", "pods", "resource", "containerResource", "external"}
	if !slices.Contains(all, named) {
		return append(when(m.Type == "", field.Required(at.Child("type"), "must specify a metric source type")), field.NotSupported(at.Child("type"), m.Type, all))
	}
	set := choices(m)
	faults = when(!slices.Contains(set, named), field.Required(at.Child(named), "must populate information for the given metric source"))
	for _, more := range set {
		faults = append(faults, when(more != named, field.Forbidden(at.Child(more), "must populate the given metric source only"))...)
	}
	return faults
}

func noAim(t autoscalingv2.MetricTarget) bool {
	return t.AverageUtilization == nil && t.AverageValue == nil
}

func twoAims(t autoscalingv2.MetricTarget) bool {
	return t.AverageUtilization != nil && t.AverageValue != nil
}
