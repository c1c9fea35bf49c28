// Package history says in short lines what a write changed in an object.
//
//	spec.replicas: 3 → 5
//	spec.template.spec.containers[web].image: web:1 → web:2
//	+ metadata.labels.tier: front
//	- status.conditions[Ready].message: "containers with unready status: [web]"
//
// Start reading at Diff.
//
// Invariants: values of Secrets are never shown, only that they changed; what every write changes (the revision, the generation, who manages
// which field), and when conditions did, is not shown at all.
//
// Real Kubernetes keeps no former states of objects; `kubectl rollout history` knows those of a pod template that its ReplicaSets keep.
package history

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"

	"optimist/internal/api"
)

// Change is what happened to one field. Before or After is missing where the field was.
type Change struct {
	Path   string `json:"path"`
	Before any    `json:"before,omitempty"`
	After  any    `json:"after,omitempty"`
}

// noise are fields that say nothing about what somebody wanted or found.
var noise = []string{"metadata.resourceVersion", "metadata.managedFields", "metadata.generation", "metadata.uid", "metadata.creationTimestamp",
	"metadata.annotations[kubectl.kubernetes.io/last-applied-configuration]"}

// Diff compares two states of an object, in the order of their fields' names.
func Diff(k *api.Kind, before, after api.Object) ([]Change, error) {
	var states [2]map[string]any
	for i, o := range []api.Object{before, after} {
		var err error
		if states[i], err = runtime.DefaultUnstructuredConverter.ToUnstructured(o); err != nil {
			return nil, err
		}
	}
	d := differ{}
	d.compare("", states[0], states[1])
	if k.Is(api.SecretKind) {
		d.redact()
	}
	return d.changes, nil
}

type differ struct{ changes []Change }

func (d *differ) compare(path string, before, after any) {
	if slices.Contains(noise, path) || strings.HasSuffix(path, "].lastTransitionTime") || strings.HasSuffix(path, "].lastUpdateTime") || reflect.DeepEqual(before, after) {
		return
	}
	a, isMap := before.(map[string]any)
	b, isMapToo := after.(map[string]any)
	if isMap && isMapToo {
		d.members(a, b, func(name string) string { return member(path, name) })
		return
	}
	x, y := byKey(before), byKey(after)
	if x != nil && y != nil {
		d.members(x, y, func(key string) string { return path + "[" + key + "]" })
		return
	}
	d.changes = append(d.changes, Change{path, before, after})
}

func (d *differ) members(a, b map[string]any, path func(string) string) {
	all := maps.Clone(a)
	maps.Copy(all, b)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		d.compare(path(name), a[name], b[name])
	}
}

// member is a field's path; names that are no identifiers (labels, annotations) stand in brackets.
func member(path, name string) string {
	switch {
	case strings.ContainsAny(name, "./"):
		return path + "[" + name + "]"
	case path == "":
		return name
	}
	return path + "." + name
}

// keys are the fields by which Kubernetes tells the members of a list apart.
var keys = []string{"name", "type", "uid", "containerPort", "port", "ip", "key"}

// byKey is a list of objects by one of the keys; nil if none tells all of them apart.
func byKey(list any) map[string]any {
	items, ok := list.([]any)
	if !ok {
		return nil
	}
next:
	for _, key := range keys {
		all := map[string]any{}
		for _, item := range items {
			object, _ := item.(map[string]any)
			name := fmt.Sprint(object[key])
			if object[key] == nil || all[name] != nil {
				continue next
			}
			all[name] = item
		}
		return all
	}
	return nil
}

// redact keeps only that something is there, or other than before.
func (d *differ) redact() {
	for i, c := range d.changes {
		if !strings.HasPrefix(c.Path, "data") && !strings.HasPrefix(c.Path, "stringData") {
			continue
		}
		for _, v := range []*any{&d.changes[i].Before, &d.changes[i].After} {
			if *v != nil {
				*v = "(hidden)"
			}
		}
	}
}

// String is the change in one line.
func (c Change) String() string {
	switch {
	case c.Before == nil:
		return "+ " + c.Path + ": " + short(c.After)
	case c.After == nil:
		return "- " + c.Path + ": " + short(c.Before)
	}
	return c.Path + ": " + short(c.Before) + " → " + short(c.After)
}

const longest = 120 // of a value in a line

func short(v any) string {
	text, ok := v.(string)
	if !ok || text == "" || strings.ContainsAny(text, "\n\"") || strings.TrimSpace(text) != text {
		b, err := json.Marshal(v)
		if err != nil {
			return fmt.Sprint(v)
		}
		text = string(b)
	}
	if r := []rune(text); len(r) > longest {
		return string(r[:longest]) + "…"
	}
	return text
}
