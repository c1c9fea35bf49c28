package scheduler

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/apiserver/registry"
	"optimist/apiserver/registry/kinds"
	"optimist/apiserver/store/memory"
	"optimist/internal/api"
	"optimist/internal/api/apitest"
)

// flaky is an API server that sometimes does not say what its newest revision is.
type flaky struct {
	api.Service
	failing atomic.Bool
}

func (f *flaky) Now(ctx context.Context) (api.Revision, error) {
	if f.failing.Load() {
		return 0, apierrors.NewServiceUnavailable("try again")
	}
	return f.Service.Now(ctx)
}

// Write takes the fence from ctx, as a client does.
func (f *flaky) Write(ctx context.Context, r api.Request) (api.Result, error) {
	r.Fence = api.FenceFrom(ctx)
	return f.Service.Write(ctx, r)
}

// A server that is out of reach for a moment must end neither the scheduler nor its leadership.
func TestLeaderOutlivesAnAbsentServer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg, err := registry.New(memory.New(), registry.Options{Rules: kinds.All()})
		if err != nil {
			t.Fatal(err)
		}
		svc := &flaky{Service: reg}
		s := New(Config{Service: svc, ID: "one", Log: slog.New(slog.DiscardHandler)})
		background(t, reg.Run)
		time.Sleep(time.Second)
		svc.failing.Store(true)
		background(t, s.Run)

		create(t, svc, `{apiVersion: v1, kind: Node, metadata: {name: n1}}`)
		for sub, patch := range map[string]string{
			"":       `{"spec":{"taints":null}}`, // as nodelifecycle does when the node is ready
			"status": `{"status":{"allocatable":{"cpu":"4","memory":"8Gi","pods":"10"}}}`,
		} {
			if _, err := api.Nodes.Patch(t.Context(), svc, api.Key{Name: "n1"}, sub, "application/merge-patch+json", []byte(patch)); err != nil {
				t.Fatal(err)
			}
		}
		create(t, svc, `{apiVersion: v1, kind: Pod, metadata: {namespace: default, name: web}, spec: {containers: [{name: c, image: web}]}}`)
		if node := nodeAfter(t, svc, 30*time.Second); node != "" {
			t.Errorf("bound to %s by a scheduler that cannot know whether it has seen everything", node)
		}
		svc.failing.Store(false)
		if node := nodeAfter(t, svc, 2*time.Second); node != "n1" {
			t.Errorf("two seconds after the server's return the pod is on %q", node)
		}
	})
}

func create(t *testing.T, svc api.Service, text string) {
	t.Helper()
	o := apitest.Object(t, text)
	target := api.Target{Kind: api.Builtin.Of(o), Key: api.KeyOf(o)}
	if _, err := svc.Write(t.Context(), api.Request{Target: target, Verb: api.VerbCreate, Body: o}); err != nil {
		t.Fatal(err)
	}
}

func nodeAfter(t *testing.T, svc api.Service, d time.Duration) string {
	t.Helper()
	time.Sleep(d)
	p, err := api.Pods.Get(t.Context(), svc, api.Key{Namespace: corev1.NamespaceDefault, Name: "web"})
	if err != nil {
		t.Fatal(err)
	}
	return p.Spec.NodeName
}

// background runs a part until the test's end.
func background(t *testing.T, run func(context.Context) error) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := run(ctx); err != nil && ctx.Err() == nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() { cancel(); <-done })
}

// stepped is a scheduler that is driven by hand, and what happens around each of its bindings.
type stepped struct {
	*testing.T
	api.Service
	scheduler *Scheduler
	bindings  int
	before    func()
	after     func(error) error
}

func (s *stepped) Write(ctx context.Context, r api.Request) (api.Result, error) {
	if r.Sub != "binding" {
		return s.Service.Write(ctx, r)
	}
	s.bindings++
	if s.before != nil {
		s.before()
	}
	result, err := s.Service.Write(ctx, r)
	return result, s.after(err)
}

// tell delivers all there is.
func (s *stepped) tell() {
	for _, k := range s.scheduler.Set().Kinds() {
		o := s.scheduler.Set().Open(k)
		l, err := s.List(s.Context(), api.Target{Kind: k}, api.ListOptions{})
		if err != nil {
			s.Fatal(err)
		}
		var events []api.Event
		for _, item := range l.Items {
			events = append(events, api.Event{Type: api.Modified, Object: item, Revision: api.RevisionOf(item)})
		}
		s.scheduler.Set().Deliver(k, append(events, api.Event{Type: api.Bookmark, Revision: l.Revision, InitialEnd: o.Initial}))
	}
}

func inSteps(t *testing.T) *stepped {
	reg, err := registry.New(memory.New(), registry.Options{Rules: kinds.All()})
	if err == nil {
		err = reg.Bootstrap(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	s := &stepped{T: t, Service: reg, after: func(err error) error { return err }}
	s.scheduler = New(Config{Service: s, ID: "one", Log: slog.New(slog.DiscardHandler)})
	create(t, s, `{apiVersion: v1, kind: Node, metadata: {name: n1}}`)
	if _, err := api.Nodes.Patch(t.Context(), s, api.Key{Name: "n1"}, "status", "application/merge-patch+json", []byte(`{"status":{"allocatable":{"cpu":"4","memory":"8Gi","pods":"10"}}}`)); err != nil {
		t.Fatal(err)
	}
	create(t, s, `{apiVersion: v1, kind: Pod, metadata: {namespace: default, name: web}, spec: {tolerations: [{operator: Exists}], containers: [{name: c, image: web}]}}`)
	s.tell()
	return s
}

// The answer to a binding is lost after the watch has told of it: the pod keeps its place in the account. (Seeds 5005, 5021 and 5190 of the simulation.)
func TestALostAnswerTakesNoBoundPodOutOfTheAccount(t *testing.T) {
	s := inSteps(t)
	s.after = func(error) error {
		s.tell()
		return errors.New("connection reset by peer")
	}
	s.scheduler.One(t.Context())
	if n := len(s.scheduler.cache.snapshot()[0].Pods); n != 1 {
		t.Errorf("%d pods are on the node's account, one is bound to it", n)
	}
}

// A pod that changes while its binding is under way is not decided on a second time.
func TestOneDecisionAtATime(t *testing.T) {
	s := inSteps(t)
	s.before = func() {
		if s.bindings > 1 {
			return
		}
		patch := []byte(`{"spec":{"containers":[{"name":"c","image":"web:2"}]}}`)
		if _, err := api.Pods.Patch(t.Context(), s, api.Key{Namespace: "default", Name: "web"}, "", "application/strategic-merge-patch+json", patch); err != nil {
			t.Fatal(err)
		}
		s.tell()
		s.scheduler.One(t.Context())
	}
	s.scheduler.One(t.Context())
	if s.bindings != 1 {
		t.Errorf("%d bindings of one pod", s.bindings)
	}
}
