package agent

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/runtime"
	"optimist/internal/api"
)

// fate kills an agent before or after the k-th call by which it changes something: on the node, or at its Pods.
type fate struct {
	after bool
	mu    sync.Mutex
	left  int
	stop  context.CancelFunc
}

var errKilled = errors.New("the agent was killed")

func (f *fate) call(do func() error) error {
	f.mu.Lock()
	f.left--
	now, dead := f.left == 0, f.left < 0
	f.mu.Unlock()
	if dead || now && !f.after {
		f.stop()
		return errKilled
	}
	err := do()
	if now {
		f.stop()
		return errKilled
	}
	return err
}

func (f *fate) struck() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.left <= 0
}

type fragileRuntime struct {
	runtime.Runtime
	*fate
}

func (f fragileRuntime) Pull(ctx context.Context, ref string, c runtime.Credentials) (i runtime.Image, err error) {
	err = f.call(func() (err error) { i, err = f.Runtime.Pull(ctx, ref, c); return err })
	return i, err
}

func (f fragileRuntime) StartSandbox(ctx context.Context, s runtime.SandboxSpec) (b runtime.Sandbox, err error) {
	err = f.call(func() (err error) { b, err = f.Runtime.StartSandbox(ctx, s); return err })
	return b, err
}

func (f fragileRuntime) StartContainer(ctx context.Context, s runtime.ContainerSpec) error {
	return f.call(func() error { return f.Runtime.StartContainer(ctx, s) })
}

func (f fragileRuntime) Stop(ctx context.Context, id runtime.ContainerID, grace time.Duration) error {
	return f.call(func() error { return f.Runtime.Stop(ctx, id, grace) })
}

func (f fragileRuntime) Remove(ctx context.Context, id runtime.ContainerID) error {
	return f.call(func() error { return f.Runtime.Remove(ctx, id) })
}

func (f fragileRuntime) RemoveSandbox(ctx context.Context, pod types.UID) error {
	return f.call(func() error { return f.Runtime.RemoveSandbox(ctx, pod) })
}

type fragileService struct {
	api.Service
	*fate
}

func (f fragileService) Write(ctx context.Context, r api.Request) (res api.Result, err error) {
	if !r.Kind.Is(api.PodKind) {
		return f.Service.Write(ctx, r)
	}
	err = f.call(func() (err error) { res, err = f.Service.Write(ctx, r); return err })
	return res, err
}

// TestAnAgentKilledAnywhereChangesNothing: whenever the first agent dies, the second brings the same pod to the same end.
func TestAnAgentKilledAnywhereChangesNothing(t *testing.T) {
	for _, after := range []bool{false, true} {
		for k := 1; ; k++ {
			died := false
			t.Run(fmt.Sprintf("call %d, after it: %v", k, after), func(t *testing.T) {
				inCluster(t, func(c *cluster) { died = c.killedAt(&fate{left: k, after: after}) })
			})
			if !died {
				if k < 15 {
					t.Errorf("a pod's whole life has only %d calls", k)
				}
				break // the life had fewer calls
			}
		}
	}
}

func (c *cluster) killedAt(f *fate) (died bool) {
	const end = "Succeeded i#0:Completed(0) s#0:Completed(0) a#0:Completed(0) b#0:Completed(0)"
	first := c.process(fragileService{c.service, f}, fragileRuntime{c.runtime, f})
	f.stop = first.stop
	running := first
	heal := func() {
		if f.struck() && running == first {
			first.kill()
			running, died = c.process(c.service, c.runtime), true
		}
	}
	pod := c.create(`{metadata: {name: p}, spec: {restartPolicy: OnFailure,
		initContainers: [{name: i, image: nginx, args: ["sim:exit=0"]}, {name: s, image: nginx, restartPolicy: Always}],
		containers: [{name: a, image: nginx, args: ["sim:after=30s"]}, {name: b, image: busybox, args: ["sim:after=1s"]}]}}`)
	advance(5 * time.Second)
	heal()
	advance(time.Minute)
	heal()
	advance(time.Minute)
	if got := summary(c.pod("p")); got != end {
		c.Errorf("end = %s, want %s", got, end)
	}
	if err := api.Pods.Delete(c.Context(), c.service, api.KeyOf(pod), api.Options{}); err != nil {
		c.Fatal(err)
	}
	advance(5 * time.Second)
	heal()
	advance(time.Minute)
	if _, err := api.Pods.Get(c.Context(), c.service, api.KeyOf(pod)); !apierrors.IsNotFound(err) {
		c.Errorf("the deleted pod: %v", err)
	}
	if state, _ := c.runtime.State(c.Context()); len(state) != 0 {
		c.Errorf("left over: %+v", state)
	}
	running.kill()
	return died
}

// TestAServerThatLostItsDataIsNotBelieved: a restarted agent keeps the pods that an emptied API server does not know.
func TestAServerThatLostItsDataIsNotBelieved(t *testing.T) {
	inCluster(t, func(c *cluster) {
		kill := c.agent(c.runtime)
		c.create(`{metadata: {name: p}, spec: {containers: [{name: c, image: nginx}]}}`)
		advance(time.Second)
		kill()
		advance(time.Minute)
		inRegistry(c, func(empty *cluster) {
			empty.runtime = c.runtime
			defer empty.agent(c.runtime)()
			advance(time.Minute)
			state, _ := c.runtime.State(c.Context())
			if len(state) != 1 || state[0].Containers[0].Phase != runtime.Running {
				t.Errorf("the pod of the lost data was ended: %+v", state)
			}
		})
	})
}

// TestAPodThatWasDeletedMeanwhileIsRemoved: the agent was down when its pod was deleted by force.
func TestAPodThatWasDeletedMeanwhileIsRemoved(t *testing.T) {
	inCluster(t, func(c *cluster) {
		kill := c.agent(c.runtime)
		pod := c.create(`{metadata: {name: p}, spec: {containers: [{name: c, image: nginx}]}}`)
		advance(time.Second)
		kill()
		none := int64(0)
		if err := api.Pods.Delete(c.Context(), c.service, api.KeyOf(pod), api.Options{Grace: &none}); err != nil {
			t.Fatal(err)
		}
		defer c.agent(c.runtime)()
		advance(5 * time.Second)
		if state, _ := c.runtime.State(c.Context()); len(state) != 0 {
			t.Errorf("left over: %+v", state)
		}
	})
}

// late is an API server that begins the watch of Pods with how they were at a revision, and tells the rest when it is asked how far it is.
type late struct {
	api.Service
	at    api.Revision
	asked chan struct{}
}

func (l *late) Now(ctx context.Context) (api.Revision, error) {
	close(l.asked)
	return l.Service.Now(ctx)
}

func (l *late) Watch(ctx context.Context, t api.Target, o api.WatchOptions) (iter.Seq2[[]api.Event, error], error) {
	if !t.Kind.Is(api.PodKind) || !o.Initial {
		return l.Service.Watch(ctx, t, o)
	}
	old, err := l.List(ctx, t, api.ListOptions{Fields: o.Fields, At: l.at})
	if err != nil {
		return nil, err
	}
	o.Initial, o.After = false, l.at
	rest, err := l.Service.Watch(ctx, t, o)
	return func(yield func([]api.Event, error) bool) {
		var events []api.Event
		for _, pod := range old.Items {
			events = append(events, api.Event{Type: api.Added, Object: pod, Revision: api.RevisionOf(pod)})
		}
		if !yield(append(events, api.Event{Type: api.Bookmark, Revision: l.at, InitialEnd: true}), nil) {
			return
		}
		select {
		case <-l.asked:
			rest(yield)
		case <-ctx.Done():
		}
	}, err
}

// TestAnAgentStartsNothingFromAnOldList: what the first list still names, the agent before may have brought to its end. (Seed 365 of the simulation.)
func TestAnAgentStartsNothingFromAnOldList(t *testing.T) {
	inCluster(t, func(c *cluster) {
		kill := c.agent(c.runtime)
		pod := c.create(`{metadata: {name: p}, spec: {containers: [{name: c, image: nginx}]}}`)
		if err := api.Pods.Delete(c.Context(), c.service, api.KeyOf(pod), api.Options{}); err != nil {
			t.Fatal(err)
		}
		advance(5 * time.Second)
		kill()
		var started atomic.Bool
		second := c.process(&late{c.service, api.RevisionOf(pod), make(chan struct{})}, watched{c.runtime, &started})
		advance(5 * time.Second)
		if started.Load() {
			t.Error("the pod was started again after its end")
		}
		second.kill()
	})
}

// watched notes whether a sandbox is started.
type watched struct {
	runtime.Runtime
	started *atomic.Bool
}

func (w watched) StartSandbox(ctx context.Context, s runtime.SandboxSpec) (runtime.Sandbox, error) {
	w.started.Store(true)
	return w.Runtime.StartSandbox(ctx, s)
}
