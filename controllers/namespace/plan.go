package namespace

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
	"optimist/internal/reconcile"
)

// view is what a plan is made from: a terminating namespace and what is left in it.
type view struct {
	namespace *corev1.Namespace
	content   []content
}

type content struct {
	kind    *api.Kind
	objects []api.Object
}

// plan says what remains, then deletes what has not been told to go: Pods, and when they have ended the rest. Last it lets the namespace go.
func plan(v view, now time.Time) ([]reconcile.Action, time.Duration) {
	steps := report(v, now)
	if len(steps) > 0 {
		return steps, 0
	}
	if pods := v.of(api.PodKind); len(pods) > 0 {
		return sweep(v.namespace, content{api.PodKind, pods}, "the namespace is terminating; pods go first, with their grace"), 0
	}
	for _, c := range v.content {
		steps = append(steps, sweep(v.namespace, c, "the namespace is terminating")...)
	}
	if len(v.content) > 0 || !slices.Contains(v.namespace.Spec.Finalizers, corev1.FinalizerKubernetes) {
		return steps, 0 // each object's end calls us again
	}
	return finalize(v.namespace), 0
}

func (v view) of(k *api.Kind) []api.Object {
	for _, c := range v.content {
		if c.kind.Is(k) {
			return c.objects
		}
	}
	return nil
}

// sweep deletes a kind's objects, unless all of them are on their way.
func sweep(ns *corev1.Namespace, c content, why string) []reconcile.Action {
	if !slices.ContainsFunc(c.objects, func(o api.Object) bool { return o.GetDeletionTimestamp() == nil }) {
		return nil
	}
	return []reconcile.Action{collection(ns, c.kind, why)}
}

func collection(ns *corev1.Namespace, k *api.Kind, why string) reconcile.Action {
	return reconcile.Action{Why: why, Request: api.Request{
		Target: api.Target{Kind: k, Key: api.Key{Namespace: ns.Name}}, Verb: api.VerbDeleteCollection,
		Options: api.Options{Propagation: metav1.DeletePropagationBackground},
	}}
}

func finalize(ns *corev1.Namespace) []reconcile.Action {
	next := ns.DeepCopy()
	next.Spec.Finalizers = slices.DeleteFunc(next.Spec.Finalizers, func(f corev1.FinalizerName) bool { return f == corev1.FinalizerKubernetes })
	return []reconcile.Action{
		collection(ns, api.EventKind, "the namespace is empty but for Events"),
		reconcile.Update(api.NamespaceKind, "finalize", next, "the namespace is empty", nil),
	}
}

// report plans to write the conditions if they changed.
func report(v view, now time.Time) []reconcile.Action {
	next := v.namespace.DeepCopy()
	for _, c := range conditions(v) {
		set(&next.Status, c, metav1.NewTime(now))
	}
	if equality.Semantic.DeepEqual(next.Status, v.namespace.Status) {
		return nil
	}
	return []reconcile.Action{reconcile.Update(api.NamespaceKind, "status", next, "say what remains of the namespace", nil)}
}

// conditions are Kubernetes' five. The first two are about discovery, which cannot fail here; a delete that fails is logged and tried again.
func conditions(v view) []corev1.NamespaceCondition {
	all := []corev1.NamespaceCondition{
		{Type: corev1.NamespaceDeletionDiscoveryFailure, Reason: "ResourcesDiscovered", Message: "All resources successfully discovered"},
		{Type: corev1.NamespaceDeletionGVParsingFailure, Reason: "ParsedGroupVersions", Message: "All legacy kube types successfully parsed"},
		{Type: corev1.NamespaceDeletionContentFailure, Reason: "ContentDeleted", Message: "All content successfully deleted, may be waiting on finalization"},
		{Type: corev1.NamespaceContentRemaining, Reason: "ContentRemoved", Message: "All content successfully removed"},
		{Type: corev1.NamespaceFinalizersRemaining, Reason: "ContentHasNoFinalizers", Message: "All content-preserving finalizers finished"},
	}
	for i := range all {
		all[i].Status = corev1.ConditionFalse
	}
	if words := remaining(v); words != "" {
		all[3].Status, all[3].Reason, all[3].Message = corev1.ConditionTrue, "SomeResourcesRemain", "Some resources are remaining: "+words
	}
	if words := held(v); words != "" {
		all[4].Status, all[4].Reason, all[4].Message = corev1.ConditionTrue, "SomeFinalizersRemain", "Some content in the namespace has finalizers remaining: "+words
	}
	return all
}

func remaining(v view) string {
	var words []string
	for _, c := range v.content {
		words = append(words, fmt.Sprintf("%s. has %d resource instances", c.kind, len(c.objects)))
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

func held(v view) string {
	count := map[string]int{}
	for _, c := range v.content {
		for _, o := range c.objects {
			for _, f := range o.GetFinalizers() {
				count[f]++
			}
		}
	}
	var words []string
	for _, f := range slices.Sorted(maps.Keys(count)) {
		words = append(words, fmt.Sprintf("%s in %d resource instances", f, count[f]))
	}
	return strings.Join(words, ", ")
}

// set brings a condition about; the time of its last transition changes with its status only.
func set(s *corev1.NamespaceStatus, c corev1.NamespaceCondition, now metav1.Time) {
	i := slices.IndexFunc(s.Conditions, func(have corev1.NamespaceCondition) bool { return have.Type == c.Type })
	if i < 0 {
		c.LastTransitionTime = now
		s.Conditions = append(s.Conditions, c)
		return
	}
	c.LastTransitionTime = s.Conditions[i].LastTransitionTime
	if s.Conditions[i].Status != c.Status {
		c.LastTransitionTime = now
	}
	s.Conditions[i] = c
}
