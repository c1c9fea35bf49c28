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

// Cluster is where a description looks things up, and when it is made.
type Cluster struct {
	api.Service
	At time.Time
}

// describer describes one kind. The object belongs to the service: read only.
type describer func(ctx context.Context, c Cluster, o api.Object) rows

// describers has the kinds that are described in words; others are printed field by field.
var describers = map[*api.Kind]describer{
	api.PodKind:        typed(pod),
	api.NodeKind:       typed(node),
	api.DeploymentKind: typed(deployment),
	api.ReplicaSetKind: typed(replicaSet),
	api.ServiceKind:    typed(service),
	api.NamespaceKind:  typed(namespace),
	api.ConfigMapKind:  typed(configMap),
	api.SecretKind:     typed(secret),
}

func typed[T api.Object](f func(context.Context, Cluster, T) rows) describer {
	return func(ctx context.Context, c Cluster, o api.Object) rows { return f(ctx, c, o.(T)) }
}

// Describe returns the description of an object, with its events.
func Describe(ctx context.Context, c Cluster, k *api.Kind, o api.Object) string {
	r := fieldByField(k, o)
	if describe := describers[api.Builtin.Kind(k.GroupKind())]; describe != nil {
		r = describe(ctx, c, o)
	}
	if !k.Is(api.EventKind) {
		r = slices.Concat(r, c.events(ctx, k, o))
	}
	return r.String()
}

// events lists what was reported about an object, the oldest first. A Node's are found by name alone: its agent reports before it knows the uid.
func (c Cluster) events(ctx context.Context, k *api.Kind, o api.Object) rows {
	set := fields.Set{"involvedObject.name": o.GetName(), "involvedObject.kind": k.Name}
	if k.Namespaced {
		set["involvedObject.uid"] = string(o.GetUID())
	}
	all, err := api.Events.List(ctx, c, o.GetNamespace(), api.ListOptions{Fields: fields.SelectorFromSet(set)})
	if err != nil {
		return nil
	}
	slices.SortStableFunc(all, func(a, b *corev1.Event) int {
		return cmp.Or(Last(a).Compare(Last(b)), cmp.Compare(a.Name, b.Name))
	})
	return rows{"Events", table("Type\tReason\tAge\tFrom\tMessage", all, func(e *corev1.Event) []string {
		from := cmp.Or(e.Source.Component, e.ReportingController)
		if e.Source.Host != "" {
			from += ", " + e.Source.Host
		}
		return []string{e.Type, e.Reason, c.Seen(e), from, strings.TrimSpace(e.Message)}
	})}
}

// Last is when an event happened most recently, whichever of its fields says so.
func Last(e *corev1.Event) time.Time {
	if e.Series != nil {
		return e.Series.LastObservedTime.Time
	}
	return cmp.Or(e.LastTimestamp.Time, e.EventTime.Time, e.CreationTimestamp.Time)
}

// Seen is how long ago an event happened, and how often, as tables show it.
func (c Cluster) Seen(e *corev1.Event) string {
	count := e.Count
	if e.Series != nil {
		count = e.Series.Count
	}
	if count <= 1 {
		return c.since(Last(e))
	}
	return fmt.Sprintf("%s (x%d over %s)", c.since(Last(e)), count, duration.HumanDuration(c.At.Sub(cmp.Or(e.FirstTimestamp.Time, e.EventTime.Time))))
}
