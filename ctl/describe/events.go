package describe

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/duration"

	"optimist/internal/api"
)

// events lists what was reported about an object, the oldest first.
func events(ctx context.Context, c Cluster, p *page, k *api.Kind, o api.Object) {
	all, err := about(ctx, c, k, o)
	if err != nil {
		return
	}
	if len(all) == 0 {
		p.line("Events:\t<none>")
		return
	}
	slices.SortStableFunc(all, func(a, b *corev1.Event) int {
		return cmp.Or(last(a).Compare(last(b).Time), cmp.Compare(a.Name, b.Name))
	})
	var rows [][]string
	for _, e := range all {
		rows = append(rows, []string{e.Type, e.Reason, p.eventAge(e), source(e), strings.TrimSpace(e.Message)})
	}
	p.line("Events:")
	p.in(func() { p.table([]string{"Type", "Reason", "Age", "From", "Message"}, rows) })
}

// about selects by name and kind. A Node's are found by name alone: its agent reports before it knows the uid.
func about(ctx context.Context, c Cluster, k *api.Kind, o api.Object) ([]*corev1.Event, error) {
	set := fields.Set{"involvedObject.name": o.GetName(), "involvedObject.kind": k.Name}
	if k.Namespaced {
		set["involvedObject.uid"] = string(o.GetUID())
	}
	return api.Events.List(ctx, c, o.GetNamespace(), api.ListOptions{Fields: fields.SelectorFromSet(set)})
}

// last is when an event happened most recently, whichever of its fields says so.
func last(e *corev1.Event) metav1.Time {
	switch {
	case e.Series != nil:
		return metav1.Time{Time: e.Series.LastObservedTime.Time}
	case !e.LastTimestamp.IsZero():
		return e.LastTimestamp
	case !e.EventTime.IsZero():
		return metav1.Time{Time: e.EventTime.Time}
	}
	return e.CreationTimestamp
}

func first(e *corev1.Event) metav1.Time {
	if e.FirstTimestamp.IsZero() {
		return metav1.Time{Time: e.EventTime.Time}
	}
	return e.FirstTimestamp
}

func (p *page) eventAge(e *corev1.Event) string {
	count := int(e.Count)
	if e.Series != nil {
		count = int(e.Series.Count)
	}
	if count <= 1 {
		return p.ago(last(e))
	}
	return fmt.Sprintf("%s (x%d over %s)", p.ago(last(e)), count, duration.HumanDuration(p.now.Sub(first(e).Time)))
}

func source(e *corev1.Event) string {
	component, host := or(e.Source.Component, e.ReportingController), e.Source.Host
	if host == "" {
		return component
	}
	return component + ", " + host
}
