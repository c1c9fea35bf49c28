package kinds

import (
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/duration"

	"optimist/apiserver/registry"
	"optimist/internal/api"
)

const (
	none    = "<none>"
	unknown = "<unknown>"
)

// column shows something of a T.
func column[T api.Object](name, kind, description string, cell func(T) any) registry.Column {
	return timed(name, kind, description, func(o T, _ time.Time) any { return cell(o) })
}

// timed shows something of a T that changes as time passes.
func timed[T api.Object](name, kind, description string, cell func(T, time.Time) any) registry.Column {
	return registry.Column{Name: name, Type: kind, Description: description,
		Cell: func(o api.Object, now time.Time) any { return cell(o.(T), now) }}
}

// wide marks columns that only -o wide shows.
func wide(columns ...registry.Column) []registry.Column {
	for i := range columns {
		columns[i].Wide = true
	}
	return columns
}

func nameColumn() registry.Column {
	return column("Name", "string", "Name is unique among the objects of the kind in a namespace.", func(o api.Object) any { return o.GetName() })
}

func ageColumn() registry.Column {
	return timed("Age", "string", "Time since the object was created.", func(o api.Object, now time.Time) any {
		return since(o.GetCreationTimestamp().Time, now)
	})
}

// since is a point in time as a person reads it: 5s, 3m20s, 4d.
func since(t, now time.Time) string {
	if t.IsZero() {
		return unknown
	}
	return duration.HumanDuration(now.Sub(t))
}

func orElse(s, instead string) string {
	if s == "" {
		return instead
	}
	return s
}

// templateColumns are those by which ReplicaSets and Deployments show what they run.
func templateColumns[T api.Object](template func(T) (*corev1.PodTemplateSpec, *metav1.LabelSelector)) []registry.Column {
	list := func(of func(*corev1.Container) string) func(T) any {
		return func(o T) any {
			var all []string
			t, _ := template(o)
			for i := range t.Spec.Containers {
				all = append(all, of(&t.Spec.Containers[i]))
			}
			return strings.Join(all, ",")
		}
	}
	return wide(
		column("Containers", "string", "Names of each container in the template.", list(func(c *corev1.Container) string { return c.Name })),
		column("Images", "string", "Images referenced by each container in the template.", list(func(c *corev1.Container) string { return c.Image })),
		column("Selector", "string", "Which pods belong to the object.", func(o T) any {
			_, s := template(o)
			return metav1.FormatLabelSelector(s)
		}),
	)
}

func formatLabels(set map[string]string) string {
	return orElse(labels.Set(set).String(), none)
}

// firstThree lists a few things and says how many more there are.
func firstThree(all []string) string {
	const most = 3
	if len(all) == 0 {
		return "<unset>"
	}
	if len(all) <= most {
		return strings.Join(all, ",")
	}
	return fmt.Sprintf("%s + %d more...", strings.Join(all[:most], ","), len(all)-most)
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}
