package pod

import (
	"context"
	"log/slog"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/runtime"
	"optimist/internal/api"
)

// amnesiac is an API server that knows no Pod, and a cache that has not heard of it, on a node where nothing runs.
type amnesiac struct {
	api.Service
	pod *corev1.Pod
}

func (a amnesiac) Write(_ context.Context, r api.Request) (api.Result, error) {
	return api.Result{}, r.Kind.NotFound(r.Key.Name)
}
func (a amnesiac) Get(api.Key) (*corev1.Pod, bool) { return a.pod, true }
func (a amnesiac) Sandbox(context.Context, types.UID) (*runtime.Sandbox, error) {
	return nil, nil
}

// A watch that is late must not make the worker delete what is gone again and again: it would never let the watch's pause pass.
func TestALateWatchMakesNobodySpin(t *testing.T) {
	pod := parsePod(t, deleted(time.Second)+one)
	all := amnesiac{pod: pod}
	w := NewWorker(&Host{Service: all, Pods: all, Ground: all, Log: slog.New(slog.DiscardHandler)}, api.KeyOf(pod), pod.UID)
	w.Step(t.Context())
	if next := w.Step(t.Context()); next.Now || next.Never || !next.At.After(time.Now()) {
		t.Errorf("after the API server has said that the Pod is gone: %+v, want to be called again later", next)
	}
}
