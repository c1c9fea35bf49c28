package describe

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/duration"

	"optimist/internal/api"
)

// events lists what was reported about an object, the oldest first. A Node's are found by name alone: its agent reports before it knows the uid.
func events(ctx context.Context, p *page, k *api.Kind, o api.Object) {
	set := fields.Set{"involvedObject.name": o.GetName(), "involvedObject.kind": k.Name}
	if k.Namespaced {
		set["involvedObject.uid"] = string(o.GetUID())
	}
	all, err := api.Events.List(ctx, p, o.GetNamespace(), api.ListOptions{Fields: fields.SelectorFromSet(set)})
	switch {
	case err != nil:
		return
	case len(all) == 0:
		p.rows("Events", "<none>")
		return
	}
	slices.SortStableFunc(all, func(a, b *corev1.Event) int {
		return cmp.Or(last(a).Compare(last(b)), cmp.Compare(a.Name, b.Name))
	})
	table(p, "Events:", "Type\tReason\tAge\tFrom\tMessage", all, func(e *corev1.Event) []string {
		from := cmp.Or(e.Source.Component, e.ReportingController)
		if e.Source.Host != "" {
			from += ", " + e.Source.Host
		}
		return []string{e.Type, e.Reason, p.eventAge(e), from, strings.TrimSpace(e.Message)}
	})
}

// last is when an event happened most recently, whichever of its fields says so.
func last(e *corev1.Event) time.Time {
	if e.Series != nil {
		return e.Series.LastObservedTime.Time
	}
	return firstSet(e.LastTimestamp.Time, e.EventTime.Time, e.CreationTimestamp.Time)
}

func firstSet(all ...time.Time) (t time.Time) {
	for i := len(all) - 1; i >= 0; i-- {
		if !all[i].IsZero() {
			t = all[i]
		}
	}
	return t
}

func (p *page) eventAge(e *corev1.Event) string {
	count := e.Count
	if e.Series != nil {
		count = e.Series.Count
	}
	if count <= 1 {
		return p.since(last(e))
	}
	return fmt.Sprintf("%s (x%d over %s)", p.since(last(e)), count, duration.HumanDuration(p.At.Sub(firstSet(e.FirstTimestamp.Time, e.EventTime.Time))))
}
