package apitest

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
)

func deleteGraceful(s *suite) {
	pod := s.create(boundPod)
	ending := s.must(s.tryDelete(pod, api.Options{}))
	if ending.GetDeletionTimestamp() == nil || ending.GetDeletionGracePeriodSeconds() == nil {
		s.Fatalf("a bound pod is not ending: %+v", ending)
	}
	s.equal("grace", *ending.GetDeletionGracePeriodSeconds(), int64(30))
	again := s.must(s.tryDelete(pod, api.Options{Grace: new(int64(60))}))
	s.equal("revision after a longer grace was asked for", again.GetResourceVersion(), ending.GetResourceVersion())
	sooner := s.must(s.tryDelete(pod, api.Options{Grace: new(int64(5))}))
	s.equal("shortened grace", *sooner.GetDeletionGracePeriodSeconds(), int64(5))
	s.equal("seconds by which the end came nearer", ending.GetDeletionTimestamp().Unix()-sooner.GetDeletionTimestamp().Unix(), int64(25))
	s.must(s.tryDelete(pod, api.Options{Grace: new(int64(0))}))
	if s.get(pod) != nil {
		s.Error("grace 0 has not removed the pod")
	}
	unbound := s.create(strings.Replace(boundPod, "nodeName: n1", "", 1))
	s.must(s.tryDelete(unbound, api.Options{}))
	if s.get(unbound) != nil {
		s.Error("a pod that is on no node was not removed at once")
	}
}

func deleteFinalizers(s *suite) {
	o := s.create(strings.Replace(plainMap, "name: a", "name: a, finalizers: [example.com/hold, example.com/too]", 1))
	held := s.must(s.tryDelete(o, api.Options{}))
	if held.GetDeletionTimestamp() == nil {
		s.Fatal("no deletionTimestamp")
	}
	_, err := s.try(api.VerbUpdate, with(held, func(c *corev1.ConfigMap) { c.Finalizers = append(c.Finalizers, "example.com/more") }), "", api.Options{})
	s.fails(err, metav1.StatusReasonInvalid, "no new finalizers can be added if the object is being deleted")
	held = s.update(with(held, func(c *corev1.ConfigMap) { c.Finalizers = c.Finalizers[:1]; c.DeletionTimestamp = nil }), "")
	if held.GetDeletionTimestamp() == nil {
		s.Error("an update has revived the object")
	}
	s.update(with(held, func(c *corev1.ConfigMap) { c.Finalizers = nil }), "")
	if s.get(o) != nil {
		s.Error("the object outlives its last finalizer")
	}
	for p, want := range map[metav1.DeletionPropagation]string{
		metav1.DeletePropagationForeground: metav1.FinalizerDeleteDependents,
		metav1.DeletePropagationOrphan:     metav1.FinalizerOrphanDependents,
	} {
		o := s.create(strings.Replace(plainMap, "name: a", "name: "+strings.ToLower(string(p)), 1))
		got := s.must(s.tryDelete(o, api.Options{Propagation: p}))
		if !slices.Equal(got.GetFinalizers(), []string{want}) || got.GetDeletionTimestamp() == nil {
			s.Errorf("propagation %s leaves finalizers %v", p, got.GetFinalizers())
		}
	}
}

func deleteRefuses(s *suite) {
	o := s.create(plainMap)
	_, err := s.tryDelete(o, api.Options{Pre: api.Preconditions{UID: "other"}})
	s.fails(err, metav1.StatusReasonConflict, "the UID in the precondition (other) does not match the UID in record")
	_, err = s.tryDelete(o, api.Options{Pre: api.Preconditions{Revision: 1}})
	s.fails(err, metav1.StatusReasonConflict, "the ResourceVersion in the precondition (1) does not match")
	_, err = s.tryDelete(o, api.Options{Propagation: "Sideways"})
	s.fails(err, metav1.StatusReasonInvalid, "propagationPolicy: Unsupported value")
	s.must(s.tryDelete(o, api.Options{Pre: api.Preconditions{UID: o.GetUID(), Revision: api.RevisionOf(o)}}))
	_, err = s.tryDelete(o, api.Options{})
	s.fails(err, metav1.StatusReasonNotFound, `configmaps "a" not found`)
}

func deleteCollection(s *suite) {
	s.maps("abcd")
	r := api.Request{Target: api.Target{Kind: api.ConfigMapKind, Key: api.Key{Namespace: "default"}}, Verb: api.VerbDeleteCollection}
	r.Match = selecting(s, "is in (a,c)", "")
	if _, err := s.Write(s.ctx, r); err != nil {
		s.Fatal(err)
	}
	names, _ := s.list(api.ConfigMapKind, "default", api.ListOptions{})
	s.equal("what is left", names, "b d")
}

// A namespace ends when its finalizers are gone; until then nothing new may come into it.
func deleteNamespace(s *suite) {
	ns := s.create("{apiVersion: v1, kind: Namespace, metadata: {name: team}}")
	s.equal("phase", ns.(*corev1.Namespace).Status.Phase, corev1.NamespaceActive)
	inside := strings.Replace(plainMap, "default", "team", 1)
	s.create(inside)
	ending := s.must(s.tryDelete(ns, api.Options{})).(*corev1.Namespace)
	s.equal("phase", ending.Status.Phase, corev1.NamespaceTerminating)
	s.must(s.tryDelete(ns, api.Options{}))
	_, err := s.try(api.VerbCreate, Object(s, strings.Replace(inside, "name: a", "name: b", 1)), "", api.Options{})
	s.fails(err, metav1.StatusReasonForbidden, "unable to create new content in namespace team because it is being terminated")
	if !apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		s.Errorf("the cause is missing: %v", err)
	}
	kept := s.update(with(ending, func(n *corev1.Namespace) { n.ResourceVersion, n.Spec.Finalizers = "", nil }), "")
	s.equal("finalizers after an ordinary update", len(kept.(*corev1.Namespace).Spec.Finalizers), 1)
	s.update(with(kept, func(n *corev1.Namespace) { n.Spec.Finalizers = nil }), "finalize")
	if s.get(ns) != nil {
		s.Error("the namespace outlives its finalizers")
	}
	_, err = s.try(api.VerbCreate, Object(s, inside), "", api.Options{})
	s.fails(err, metav1.StatusReasonNotFound, `namespaces "team" not found`)
	_, err = s.tryDelete(Object(s, "{apiVersion: v1, kind: Namespace, metadata: {name: default}}"), api.Options{})
	s.fails(err, metav1.StatusReasonForbidden, "may not be deleted")
}
