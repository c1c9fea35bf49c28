package pod

import (
	"context"
	"log/slog"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"optimist/agent/runtime/sim"
	"optimist/internal/api"
	"optimist/internal/informer"
)

// amnesiac is an API server that knows no Pod.
type amnesiac struct{ api.Service }

func (amnesiac) Write(_ context.Context, r api.Request) (api.Result, error) {
	return api.Result{}, r.Kind.NotFound(r.Key.Name)
}

// stale is a cache that has not heard of it.
type stale struct {
	informer.Reader[*corev1.Pod]
	pod *corev1.Pod
}

func (s stale) Get(api.Key) (*corev1.Pod, bool) { return s.pod, true }

// A watch that is late must not make the worker delete what is gone again and again: it would never let the watch's pause pass.
func TestALateWatchMakesNobodySpin(t *testing.T) {
	pod := parsePod(t, deleted(time.Second)+`spec: {containers: [{name: web}]}`)
	host := &Host{Service: amnesiac{}, Pods: stale{pod: pod}, Runtime: sim.New(), Log: slog.New(slog.DiscardHandler)}
	w := NewWorker(host, api.KeyOf(pod), pod.UID)
	w.Step(t.Context())
	if next := w.Step(t.Context()); next.Now || next.Never || !next.At.After(time.Now()) {
		t.Errorf("after the API server has said that the Pod is gone: %+v, want to be called again later", next)
	}
}
