package pod

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/images"
	"optimist/agent/network"
	"optimist/agent/runtime"
	"optimist/agent/volume"
	"optimist/internal/api"
	"optimist/internal/console"
	"optimist/internal/event"
	"optimist/internal/informer"
	"optimist/internal/wake"
)

// Host is what all workers of a node share.
type Host struct {
	Service  api.Service // as this node; what it writes is laid over Pods at once
	Pods     informer.Reader[*corev1.Pod]
	Services informer.Reader[*corev1.Service] // nil = containers are not told of any
	Runtime  runtime.Runtime
	Network  network.Network
	Volumes  *volume.Volumes
	Images   *images.Puller
	Events   *event.Recorder
	Starts   chan struct{} // its capacity is how many things may be started at the same time
	Node     Node
	Address  func() string // of the node now; nil = Node.IP
	Root     string        // of the logs; "" = containers write none
	DNS      netip.Addr    // the cluster's server; invalid: pods get no files about names
	Resolv   string        // the node's resolv.conf; "" = the machine's
	Log      *slog.Logger
}

// Worker brings one pod to where it should be. Step is its synchronous core, Run the goroutine around it.
type Worker struct {
	host   *Host
	key    api.Key
	uid    types.UID
	memory Memory
	pod    *corev1.Pod  // as last seen
	line   *console.Act // what the step in progress has done so far
	wake   wake.Bell

	mu        sync.Mutex         // guards interrupt, and memory.Probes while several are asked
	interrupt context.CancelFunc // ends the step in progress
}

// NewWorker makes the worker of a pod, or of a sandbox whose Pod may be gone.
func NewWorker(h *Host, key api.Key, uid types.UID) *Worker {
	return &Worker{host: h, key: key, uid: uid, memory: newMemory(), wake: wake.New()}
}

// Wake makes the worker look again; urgent ends what it is in the middle of (a pull for a Pod that is being deleted).
func (w *Worker) Wake(urgent bool) {
	w.mu.Lock()
	if urgent && w.interrupt != nil {
		w.interrupt()
	}
	w.mu.Unlock()
	w.wake.Ring()
}

// Next is when a worker wants to be stepped again.
type Next struct {
	Never bool      // nothing is left of the pod
	Now   bool      // something was done
	At    time.Time // zero: when something happens
}

// Run steps until nothing is left of the pod, or ctx ends.
func (w *Worker) Run(ctx context.Context) {
	for ctx.Err() == nil {
		next := w.Step(ctx)
		switch {
		case next.Never:
			return
		case next.Now:
			continue
		}
		_ = wake.Until(ctx, next.At, w.wake)
	}
}

const lookAgain = time.Second // when the runtime did not even tell its state

// Step looks, plans and acts once.
func (w *Worker) Step(ctx context.Context) Next {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	w.mu.Lock()
	w.interrupt = cancel
	w.mu.Unlock()
	view := View{Memory: w.memory, Node: w.host.Node}
	if w.host.Address != nil {
		view.Node.IP = w.host.Address()
	}
	if pod, ok := w.host.Pods.Get(w.key); ok && pod.UID == w.uid {
		view.Pod, w.pod = pod, pod
	}
	view.Volumes = w.host.Volumes.Look(w.uid, view.Pod)
	if view.Volumes.Changed { // what has failed for want of something may succeed now
		delete(w.memory.Troubles, string(Mount))
	}
	var err error
	if view.Sandbox, err = w.host.Runtime.Sandbox(ctx, w.uid); err != nil {
		if ctx.Err() == nil {
			w.host.Log.Warn("cannot read the pod's state", "pod", w.key, "error", err)
		}
		return Next{At: time.Now().Add(lookAgain)}
	}
	if w.pod != nil { // why the worker writes: the Pod as it was last seen (law 7)
		ctx = api.WithCauses(ctx, api.Causes{}.Add(api.Cause{Type: api.CauseTrigger, Revision: api.RevisionOf(w.pod)}))
	}
	w.line = &console.Act{Object: "pod/" + w.key.String(), Revision: w.seen(view), Causes: api.CausesFrom(ctx)}
	defer w.line.Log(ctx, w.host.Log, slog.LevelInfo)
	var next Next
	for steps := Plan(view, time.Now()); len(steps) > 0; {
		switch steps[0].Do {
		case Forget:
			return Next{Never: true}
		case Wait:
			next.At, steps = steps[0].Until, steps[1:]
			continue
		}
		n := together(steps)
		next.Now = true
		if !w.act(ctx, view, steps[:n]) {
			return next
		}
		steps = steps[n:]
	}
	return next
}

// together is how many of the steps are done side by side: containers stop at the same time, and probes do not wait for each other.
func together(steps []Step) int {
	n := 1
	for n < len(steps) && (steps[0].Do == Stop || steps[0].Do == Ask) && steps[n].Do == steps[0].Do {
		n++
	}
	return n
}

// act does the steps and remembers how it went; false: look again before going on.
func (w *Worker) act(ctx context.Context, v View, steps []Step) bool {
	errs := make([]error, len(steps))
	var group sync.WaitGroup
	for i, s := range steps {
		group.Go(func() { errs[i] = w.do(ctx, v, s) })
	}
	if steps[0].Do == Stop && v.Pod != nil {
		w.meanwhile(ctx, v, &group)
	}
	group.Wait()
	if ctx.Err() != nil {
		return false
	}
	good := true
	for i, s := range steps {
		if errs[i] != nil {
			w.failed(ctx, s, errs[i])
			good = false
			continue
		}
		if w.host.Log.Enabled(ctx, deeds[s.Do].level) {
			w.line.Did(string(s.Do), s.String(), s.Why)
		}
		if s.Do != FindImage || w.memory.Images[s.Container].ID != "" {
			delete(w.memory.Troubles, s.Key())
		}
	}
	return good
}

func (w *Worker) do(ctx context.Context, v View, s Step) error {
	if deeds[s.Do].starts {
		select {
		case w.host.Starts <- struct{}{}:
			defer func() { <-w.host.Starts }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return deeds[s.Do].do(w, ctx, v, s)
}

func (w *Worker) failed(ctx context.Context, s Step, err error) {
	d := deeds[s.Do]
	var f failure
	if errors.As(err, &f) {
		d.reason = f.reason
	}
	w.memory.fail(s.Key(), d.reason, err.Error(), time.Now(), d.delay)
	w.host.Log.Warn("pod step failed", "object", w.line.Object, "cause", w.line.Causes.String(), "step", s.String(), "why", s.Why, "error", err)
	if d.event == "" {
		return
	}
	if s.Container != "" {
		d.reason = "Failed"
	}
	w.say(ctx, corev1.EventTypeWarning, d.reason, "%s%v", d.event, err)
}
