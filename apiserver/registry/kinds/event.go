package kinds

import (
	"reflect"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

func eventRules() registry.Rules {
	fields := selectable[*corev1.Event](`involvedObject.kind involvedObject.namespace involvedObject.name involvedObject.uid involvedObject.apiVersion
		involvedObject.resourceVersion involvedObject.fieldPath reason reportingComponent type`)
	fields["source"] = func(o api.Object) string {
		e := o.(*corev1.Event)
		return orElse(e.Source.Component, e.ReportingController)
	}
	columns := []registry.Column{
		timed("Last Seen", "string", "Time at which the event was last seen.", func(e *corev1.Event, now time.Time) any { return registry.Since(lastSeen(e), now) }),
		shown[*corev1.Event]("Type", "type", "", "Normal or Warning."),
		shown[*corev1.Event]("Reason", "reason", "", "A short word for why it happened."),
		column("Object", "string", "What the event is about.", eventObject),
		column("Message", "string", "What happened, for a person.", func(e *corev1.Event) any { return strings.TrimSpace(e.Message) }),
	}
	return registry.Rules{
		Kind:     api.EventKind,
		Validate: validate[*corev1.Event](nil),
		TTL:      func(api.Object) time.Duration { return time.Hour },
		Fields:   fields,
		Columns: append(columns, wide(
			shown[*corev1.Event]("Subobject", "involvedObject.fieldPath", "", "The part of the object that the event is about."),
			column("Source", "string", "Who reported it.", eventSource),
			timed("First Seen", "string", "Time at which the event was first seen.", func(e *corev1.Event, now time.Time) any { return registry.Since(firstSeen(e), now) }),
			column("Count", "string", "How often it happened.", eventCount),
			registry.NameColumn)...),
	}
}

// eventChecks: an event lies beside what it is about; when that lies in no namespace, in default or kube-system. Those of the newer form,
// which have an eventTime, also say who reports them.
var eventChecks = []rule{each(func(_ *field.Path, e *corev1.Event) (faults field.ErrorList) {
	newer, about := !e.EventTime.IsZero(), e.InvolvedObject.Namespace
	homeless := about == "" && (e.Namespace == metav1.NamespaceDefault || e.Namespace == metav1.NamespaceSystem)
	beside := about != "" && (newer || about == e.Namespace)
	faults = when(!homeless && !beside, field.Invalid(field.NewPath("involvedObject", "namespace"), about, "does not match event.namespace"))
	if !newer {
		return faults
	}
	faults = append(faults, qualified(field.NewPath("reportingComponent"), reflect.ValueOf(e.ReportingController))...)
	for name, word := range map[string]string{"reportingComponent": e.ReportingController, "reportingInstance": e.ReportingInstance, "action": e.Action, "reason": e.Reason} {
		at := field.NewPath(name)
		faults = append(faults, when(word == "", field.Required(at, ""))...)
		faults = append(faults, when(len(word) > 128 && name != "reportingComponent", field.Invalid(at, "", "can have at most 128 characters"))...)
	}
	return append(faults, when(len(e.Message) > 1024, field.Invalid(field.NewPath("message"), "", "can have at most 1024 characters"))...)
})}

func eventObject(e *corev1.Event) any {
	kind := strings.ToLower(e.InvolvedObject.Kind)
	if e.InvolvedObject.Name == "" {
		return kind
	}
	return kind + "/" + e.InvolvedObject.Name
}

func eventSource(e *corev1.Event) any {
	who, where := e.Source.Component, e.Source.Host
	if who == "" {
		who, where = e.ReportingController, e.ReportingInstance
	}
	if where == "" {
		return who
	}
	return who + ", " + where
}

func firstSeen(e *corev1.Event) time.Time {
	if e.FirstTimestamp.IsZero() {
		return e.EventTime.Time
	}
	return e.FirstTimestamp.Time
}

func lastSeen(e *corev1.Event) time.Time {
	switch {
	case e.Series != nil:
		return e.Series.LastObservedTime.Time
	case e.LastTimestamp.IsZero():
		return firstSeen(e)
	default:
		return e.LastTimestamp.Time
	}
}

func eventCount(e *corev1.Event) any {
	if e.Series != nil {
		return int64(e.Series.Count)
	}
	return max(int64(e.Count), 1)
}
