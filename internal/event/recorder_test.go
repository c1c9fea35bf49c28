package event

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/apiserver/registry"
	"optimist/apiserver/registry/kinds"
	"optimist/apiserver/store/memory"
	"optimist/internal/api"
)

// recording runs a recorder against a registry.
func recording(t *testing.T, story func(t *testing.T, r *Recorder, svc api.Service)) {
	synctest.Test(t, func(t *testing.T) {
		s := memory.New()
		defer s.Close()
		svc, err := registry.New(s, registry.Options{Rules: kinds.All()})
		if err != nil {
			t.Fatal(err)
		}
		r := NewRecorder(svc, "test-controller", "n1")
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 2)
		go func() { done <- svc.Run(ctx) }()
		synctest.Wait()
		go func() { done <- r.Run(ctx) }()
		story(t, r, svc)
		stop()
		<-done
		<-done
	})
}

func pod(namespace string) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web", UID: "u1"}}
}

func list(t *testing.T, svc api.Service, namespace string) []*corev1.Event {
	t.Helper()
	synctest.Wait()
	all, err := api.Events.List(t.Context(), svc, namespace, api.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestTheSameSentenceIsCounted(t *testing.T) {
	recording(t, func(t *testing.T, r *Recorder, svc api.Service) {
		for range 3 {
			r.Event(t.Context(), pod("default"), corev1.EventTypeWarning, "BackOff", "Back-off restarting failed container")
			time.Sleep(time.Minute)
		}
		r.Event(t.Context(), pod("default"), corev1.EventTypeNormal, "Pulled", "Container image already present")
		all := list(t, svc, "default")
		if len(all) != 2 {
			t.Fatalf("%d events, want 2", len(all))
		}
		for _, e := range all {
			if e.Reason == "BackOff" && (e.Count != 3 || e.LastTimestamp.Sub(e.FirstTimestamp.Time) != 2*time.Minute || e.Source.Host != "n1" ||
				e.InvolvedObject.Kind != "Pod" || e.InvolvedObject.APIVersion != "v1" || e.InvolvedObject.UID != "u1") {
				t.Errorf("%+v", e)
			}
		}
	})
}

func TestAnEventThatHasExpiredIsSaidAnew(t *testing.T) {
	recording(t, func(t *testing.T, r *Recorder, svc api.Service) {
		r.Event(t.Context(), pod("default"), corev1.EventTypeNormal, "Pulled", "x")
		old := list(t, svc, "default")[0]
		if err := api.Events.Delete(t.Context(), svc, api.KeyOf(old), api.Options{}); err != nil {
			t.Fatal(err)
		}
		r.Event(t.Context(), pod("default"), corev1.EventTypeNormal, "Pulled", "x")
		if all := list(t, svc, "default"); len(all) != 1 || all[0].Count != 1 || all[0].Name == old.Name {
			t.Errorf("%+v", all)
		}
	})
}

func TestNodesHaveTheirEventsInDefault(t *testing.T) {
	recording(t, func(t *testing.T, r *Recorder, svc api.Service) {
		r.Event(t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}, corev1.EventTypeNormal, "Starting", "x")
		if all := list(t, svc, "default"); len(all) != 1 || all[0].InvolvedObject.Kind != "Node" {
			t.Errorf("%+v", all)
		}
	})
}

func TestAFullQueueDropsAndDoesNotBlock(t *testing.T) {
	r := NewRecorder(nil, "test", "")
	for range maxQueued + 7 {
		r.Event(t.Context(), pod("default"), corev1.EventTypeNormal, "x", "y")
	}
	if r.Dropped() != 7 {
		t.Errorf("%d were dropped", r.Dropped())
	}
}
