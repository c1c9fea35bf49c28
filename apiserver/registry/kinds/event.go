package kinds

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

func eventRules() registry.Rules {
	return registry.Rules{
		Kind:     api.EventKind,
		Validate: validate(validateEvent),
		TTL:      func(api.Object) time.Duration { return time.Hour },
		Fields:   eventFields(),
		Columns:  eventColumns(),
	}
}

const (
	maxEventWord    = 128
	maxEventMessage = 1024
)

// validateEvent: events of the older form have no eventTime and are only checked for their place; those with one say who reports them.
func validateEvent(_ string, e, _ *corev1.Event) (faults field.ErrorList) {
	if e.EventTime.IsZero() {
		return validateEventNamespace(e, e.InvolvedObject.Namespace)
	}
	faults = append(faults, validateEventNamespace(e, "")...)
	faults = append(faults, invalid(field.NewPath("reportingComponent"), e.ReportingController, validation.IsQualifiedName(e.ReportingController))...)
	for _, word := range []struct{ field, value string }{
		{"reportingComponent", e.ReportingController}, {"reportingInstance", e.ReportingInstance}, {"action", e.Action}, {"reason", e.Reason},
	} {
		faults = append(faults, required(field.NewPath(word.field), word.value)...)
		if word.field != "reportingComponent" {
			faults = append(faults, atMost(field.NewPath(word.field), word.value, maxEventWord)...)
		}
	}
	return append(faults, atMost(field.NewPath("message"), e.Message, maxEventMessage)...)
}

// validateEventNamespace: an event lies beside what it is about; when that lies in no namespace, in default or kube-system.
func validateEventNamespace(e *corev1.Event, about string) field.ErrorList {
	homeless := e.InvolvedObject.Namespace == "" && (e.Namespace == metav1.NamespaceDefault || e.Namespace == metav1.NamespaceSystem)
	beside := e.InvolvedObject.Namespace != "" && (about == "" || about == e.Namespace)
	if homeless || beside {
		return nil
	}
	return field.ErrorList{field.Invalid(field.NewPath("involvedObject", "namespace"), about, "does not match event.namespace")}
}

func atMost(p *field.Path, value string, most int) field.ErrorList {
	if len(value) <= most {
		return nil
	}
	return field.ErrorList{field.Invalid(p, "", fmt.Sprintf("can have at most %d characters", most))}
}

func eventFields() map[string]func(api.Object) string {
	about := func(part func(corev1.ObjectReference) string) func(api.Object) string {
		return selects(func(e *corev1.Event) string { return part(e.InvolvedObject) })
	}
	return map[string]func(api.Object) string{
		"involvedObject.kind":            about(func(r corev1.ObjectReference) string { return r.Kind }),
		"involvedObject.namespace":       about(func(r corev1.ObjectReference) string { return r.Namespace }),
		"involvedObject.name":            about(func(r corev1.ObjectReference) string { return r.Name }),
		"involvedObject.uid":             about(func(r corev1.ObjectReference) string { return string(r.UID) }),
		"involvedObject.apiVersion":      about(func(r corev1.ObjectReference) string { return r.APIVersion }),
		"involvedObject.resourceVersion": about(func(r corev1.ObjectReference) string { return r.ResourceVersion }),
		"involvedObject.fieldPath":       about(func(r corev1.ObjectReference) string { return r.FieldPath }),
		"reason":                         selects(func(e *corev1.Event) string { return e.Reason }),
		"reportingComponent":             selects(func(e *corev1.Event) string { return e.ReportingController }),
		"source":                         selects(func(e *corev1.Event) string { return orElse(e.Source.Component, e.ReportingController) }),
		"type":                           selects(func(e *corev1.Event) string { return e.Type }),
	}
}

func eventColumns() []registry.Column {
	columns := []registry.Column{
		timed("Last Seen", "string", "Time at which the event was last seen.", func(e *corev1.Event, now time.Time) any { return since(lastSeen(e), now) }),
		column("Type", "string", "Normal or Warning.", func(e *corev1.Event) any { return e.Type }),
		column("Reason", "string", "A short word for why it happened.", func(e *corev1.Event) any { return e.Reason }),
		column("Object", "string", "What the event is about.", func(e *corev1.Event) any { return eventObject(e) }),
	}
	columns = append(columns, wide(
		column("Subobject", "string", "The part of the object that the event is about.", func(e *corev1.Event) any { return e.InvolvedObject.FieldPath }),
		column("Source", "string", "Who reported it.", func(e *corev1.Event) any { return eventSource(e) }))...)
	columns = append(columns,
		column("Message", "string", "What happened, for a person.", func(e *corev1.Event) any { return strings.TrimSpace(e.Message) }))
	columns = append(columns, wide(
		timed("First Seen", "string", "Time at which the event was first seen.", func(e *corev1.Event, now time.Time) any { return since(firstSeen(e), now) }),
		column("Count", "string", "How often it happened.", func(e *corev1.Event) any { return eventCount(e) }))...)
	name := nameColumn()
	name.Wide = true
	return append(columns, name)
}

func eventObject(e *corev1.Event) string {
	kind := strings.ToLower(e.InvolvedObject.Kind)
	if e.InvolvedObject.Name == "" {
		return kind
	}
	return kind + "/" + e.InvolvedObject.Name
}

func eventSource(e *corev1.Event) string {
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

func eventCount(e *corev1.Event) int64 {
	switch {
	case e.Series != nil:
		return int64(e.Series.Count)
	case e.Count == 0:
		return 1
	default:
		return int64(e.Count)
	}
}
