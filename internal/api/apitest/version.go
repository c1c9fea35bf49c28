package apitest

import (
	autoscalingv1 "k8s.io/api/autoscaling/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/internal/api"
)

// in sends a write in a version, and must succeed.
func (s *suite) in(t api.Target, v api.Verb, body api.Object, patch string) api.Object {
	s.Helper()
	r := api.Request{Target: t, Verb: v, Body: body}
	if patch != "" {
		r.Patch = &api.Patch{Type: types.MergePatchType, Data: []byte(patch)}
	}
	res, err := s.Write(s.ctx, r)
	return s.must(res.Object, err)
}

func (s *suite) read(t api.Target) api.Object {
	s.Helper()
	res, err := s.Get(s.ctx, t, api.GetOptions{})
	return s.must(res.Object, err)
}

// versions: what is written in one form is read in another.
func versions(s *suite) {
	v2 := api.Target{Kind: api.HorizontalPodAutoscalerKind, Version: "v2", Key: api.Key{Namespace: "default", Name: "h"}}
	v1 := v2
	v1.Version = "v1"
	made := s.in(v1, api.VerbCreate, Object(s, `
apiVersion: autoscaling/v1
kind: HorizontalPodAutoscaler
metadata:
  name: h
  namespace: default
  annotations: {mine: stays, autoscaling.alpha.kubernetes.io/metrics: '[{"type":"Pods","pods":{"metricName":"rps","targetAverageValue":"10"}}]'}
spec: {scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}, maxReplicas: 3, targetCPUUtilizationPercentage: 70}`), "").(*autoscalingv1.HorizontalPodAutoscaler)
	s.equal("the least of a v1", *made.Spec.MinReplicas, int32(1))
	stored := s.read(v2).(*autoscalingv2.HorizontalPodAutoscaler)
	s.equal("the metrics of its v2", len(stored.Spec.Metrics), 2)
	s.equal("the first", stored.Spec.Metrics[0].Pods.Target.AverageValue.String(), "10")
	s.equal("the second", *stored.Spec.Metrics[1].Resource.Target.AverageUtilization, int32(70))
	s.equal("the annotations", len(stored.Annotations), 1)

	patched := s.in(v1, api.VerbPatch, nil, `{"spec":{"targetCPUUtilizationPercentage":60}}`).(*autoscalingv1.HorizontalPodAutoscaler)
	s.equal("a patched v1", *patched.Spec.TargetCPUUtilizationPercentage, int32(60))
	s.equal("what it cannot say", patched.Annotations["autoscaling.alpha.kubernetes.io/metrics"], `[{"type":"Pods","pods":{"metricName":"rps","targetAverageValue":"10"}}]`)
	s.equal("its v2", *s.read(v2).(*autoscalingv2.HorizontalPodAutoscaler).Spec.Metrics[1].Resource.Target.AverageUtilization, int32(60))
	status := v1
	status.Sub = "status"
	s.in(status, api.VerbPatch, nil, `{"status":{"currentCPUUtilizationPercentage":50,"currentReplicas":2}}`)
	s.equal("the status of its v2", *s.read(v2).(*autoscalingv2.HorizontalPodAutoscaler).Status.CurrentMetrics[0].Resource.Current.AverageUtilization, int32(50))
	s.equal("the status of its v1", *s.read(v1).(*autoscalingv1.HorizontalPodAutoscaler).Status.CurrentCPUUtilizationPercentage, int32(50))
	again := s.in(v1, api.VerbUpdate, with(s.read(v1), func(h *autoscalingv1.HorizontalPodAutoscaler) { h.Spec.MaxReplicas = 5 }), "")
	s.equal("an updated v1", again.(*autoscalingv1.HorizontalPodAutoscaler).Spec.MaxReplicas, int32(5))
	if _, err := s.Get(s.ctx, api.Target{Kind: v1.Kind, Version: "v3", Key: v1.Key}, api.GetOptions{}); err == nil {
		s.Error("a version that is not served was")
	}
}

// events of both groups are the same.
func events(s *suite) {
	newer := api.Target{Kind: api.NewEventKind, Version: "v1", Key: api.Key{Namespace: "default", Name: "e"}}
	older := api.Target{Kind: api.EventKind, Key: newer.Key}
	batches, err := s.Watch(s.ctx, api.Target{Kind: api.NewEventKind}, api.WatchOptions{Initial: true})
	if err != nil {
		s.Fatal(err)
	}
	s.in(newer, api.VerbCreate, Object(s, `
{apiVersion: events.k8s.io/v1, kind: Event, metadata: {name: e, namespace: default}, eventTime: '2026-01-01T12:00:00.000000Z', regarding: {kind: Pod, namespace: default, name: p},
 reason: Seen, note: hello, type: Normal, action: Look, reportingController: example.com/c, reportingInstance: c-1}`), "")
	s.equal("the older form", s.read(older).(*corev1.Event).Message, "hello")
	s.in(older, api.VerbPatch, nil, `{"message":"bye"}`)
	s.equal("the newer form", s.read(newer).(*eventsv1.Event).Note, "bye")
	l, err := s.List(s.ctx, api.Target{Kind: api.NewEventKind}, selecting(s, "", "regarding.name=p,reportingController=example.com/c"))
	if err != nil || len(l.Items) != 1 || l.Items[0].(*eventsv1.Event).Note != "bye" {
		s.Errorf("a list of the newer form: %v, %v", l.Items, err)
	}
	var notes []string
	for batch, err := range batches {
		if err != nil {
			s.Fatal(err)
		}
		for _, e := range batch {
			if e.Object != nil {
				notes = append(notes, e.Object.(*eventsv1.Event).Note)
			}
		}
		if len(notes) == 2 {
			break
		}
	}
	s.equal("the last note told", notes[1], "bye")
	if _, err := s.Write(s.ctx, api.Request{Target: newer, Verb: api.VerbDelete}); err != nil {
		s.Error(err)
	}
	_, err = s.Get(s.ctx, newer, api.GetOptions{})
	s.fails(err, metav1.StatusReasonNotFound, "events.events.k8s.io")
}

func evict(s *suite) {
	pod := s.create(`{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: default}, spec: {nodeName: n, containers: [{name: c, image: i}]}}`)
	at := s.target(pod, "eviction")
	eviction := func(name string, grace int64) *policyv1.Eviction {
		return &policyv1.Eviction{TypeMeta: metav1.TypeMeta{APIVersion: "policy/v1", Kind: "Eviction"}, ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "default"}, DeleteOptions: &metav1.DeleteOptions{GracePeriodSeconds: &grace}}
	}
	_, err := s.Write(s.ctx, api.Request{Target: at, Verb: api.VerbCreate, Body: eviction("other", 5)})
	s.fails(err, metav1.StatusReasonBadRequest)
	s.in(at, api.VerbCreate, eviction("p", 5), "")
	s.equal("the grace of who is evicted", *s.get(pod).GetDeletionGracePeriodSeconds(), int64(5))
	for _, sub := range []string{"resize", "ephemeralcontainers"} {
		_, err = s.Write(s.ctx, api.Request{Target: s.target(pod, sub), Verb: api.VerbPatch, Patch: &api.Patch{Type: types.MergePatchType, Data: []byte("{}")}})
		s.fails(err, metav1.StatusReasonMethodNotAllowed, "this version's agents")
	}
}
