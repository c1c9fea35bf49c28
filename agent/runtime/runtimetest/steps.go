package runtimetest

import (
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/runtime"
)

func box(pod types.UID) runtime.SandboxSpec {
	return runtime.SandboxSpec{Pod: pod, Namespace: "default", Name: "pod-" + string(pod), Hostname: "host-" + string(pod)}
}

func (s Subject) spec(b Behaviour, pod types.UID, name string, attempt int) runtime.ContainerSpec {
	spec := s.Spec(b)
	spec.ID = runtime.ContainerID{Pod: pod, Name: name, Attempt: attempt}
	spec.Labels = map[string]string{"k": "v"}
	return spec
}

// start also makes the sandbox, which is as idempotent.
func (s Subject) start(t *testing.T, spec runtime.ContainerSpec) {
	t.Helper()
	must(s.Runtime.StartSandbox(t.Context(), box(spec.ID.Pod)))(t)
	check(t, s.Runtime.StartContainer(t.Context(), spec))
}

func (s Subject) state(t *testing.T, r runtime.Runtime) []runtime.Sandbox {
	t.Helper()
	return must(r.State(t.Context()))(t)
}

func (s Subject) container(t *testing.T, id runtime.ContainerID) runtime.Container {
	t.Helper()
	c := find(s.state(t, s.Runtime), id)
	if c == nil {
		t.Fatalf("container %s is not in State", id)
	}
	return *c
}

// exited waits for the container's end.
func (s Subject) exited(t *testing.T, id runtime.ContainerID) runtime.Container {
	t.Helper()
	late := time.After(patience)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if c := s.container(t, id); c.Phase == runtime.Exited {
			return c
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("container %s did not exit", id)
		}
	}
}

func find(state []runtime.Sandbox, id runtime.ContainerID) *runtime.Container {
	for _, sandbox := range state {
		for _, c := range sandbox.Containers {
			if c.ID == id {
				return &c
			}
		}
	}
	return nil
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		check(t, err)
		return v
	}
}
