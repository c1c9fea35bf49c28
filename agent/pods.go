package agent

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/network"
	"optimist/agent/pod"
	"optimist/agent/proxy"
	"optimist/agent/runtime"
	"optimist/agent/volume"
	"optimist/internal/api"
	"optimist/internal/informer"
)

// pods is one worker a pod: of those in the cache, and of those whose sandboxes are still here.
type pods struct {
	host *pod.Host

	mu      sync.Mutex
	spawn   func(func(context.Context)) // nil before open
	workers map[types.UID]*pod.Worker
}

// open starts the workers, once the cache is complete and the network stands; spawn starts a goroutine that ends with the agent. known is
// read only after changed has begun to start workers itself, so that no pod falls between the two.
func (p *pods) open(known iter.Seq[*corev1.Pod], boxes []runtime.Sandbox, spawn func(func(context.Context))) {
	p.mu.Lock()
	p.spawn = spawn
	p.mu.Unlock()
	for one := range known {
		p.ensure(api.KeyOf(one), one.UID)
	}
	for _, box := range boxes {
		p.ensure(api.Key{Namespace: box.Namespace, Name: box.Name}, box.Pod)
	}
}

// changed wakes the worker of a pod, or starts it. It is the informer's listener. A pod that is to end, or to end sooner, interrupts its worker.
func (p *pods) changed(c informer.Change) {
	before, _ := c.Before.(*corev1.Pod)
	after, _ := c.After.(*corev1.Pod)
	same := before != nil && after != nil && before.UID == after.UID
	if before != nil && !same {
		p.wake(before, true)
	}
	if after != nil {
		p.wake(after, same && !before.DeletionTimestamp.Equal(after.DeletionTimestamp))
	}
}

// wake tells a pod's worker that the Pod has changed. Before open there are no workers: they will look by themselves.
func (p *pods) wake(one *corev1.Pod, urgent bool) {
	if w := p.ensure(api.KeyOf(one), one.UID); w != nil {
		w.Wake(urgent)
	}
}

// ensure returns a pod's worker, a new one if need be; nil before open.
func (p *pods) ensure(key api.Key, uid types.UID) *pod.Worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.workers[uid]
	if w == nil && p.spawn != nil {
		w = pod.NewWorker(p.host, key, uid)
		p.workers[uid] = w
		p.spawn(func(ctx context.Context) { p.run(ctx, w, key, uid) })
	}
	return w
}

func (p *pods) run(ctx context.Context, w *pod.Worker, key api.Key, uid types.UID) {
	w.Run(ctx)
	p.mu.Lock()
	delete(p.workers, uid)
	p.mu.Unlock()
	if again, ok := p.host.Pods.Get(key); ok && again.UID == uid && ctx.Err() == nil {
		p.ensure(key, uid) // it came back while we forgot it
	}
}

// happened wakes the worker of a pod in which something changed by itself; "" is everybody: events may have been missed.
func (p *pods) happened(uid types.UID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for known, w := range p.workers {
		if uid == "" || known == uid {
			w.Wake(false)
		}
	}
}

const lastGrace = 10 * time.Second

// Stop ends all containers of a node whose agent does not run; the agent starts them again.
func Stop(ctx context.Context, r runtime.Runtime) error {
	boxes, err := r.State(ctx)
	if err != nil {
		return err
	}
	var group errgroup.Group
	for _, b := range boxes {
		for _, c := range b.Containers {
			if c.Phase == runtime.Running {
				group.Go(func() error { return r.Stop(ctx, c.ID, lastGrace) })
			}
		}
	}
	return group.Wait()
}

// Remove takes away everything that agents made on a node: containers, sandboxes, volumes below root ("" = none), network, and the table of
// Services if there may be one.
func Remove(ctx context.Context, r runtime.Runtime, n network.Network, t proxy.Table, root string, c network.Config) error {
	faults := []error{Stop(ctx, r)}
	boxes, err := r.State(ctx)
	faults = append(faults, err, n.Setup(ctx, c))
	for _, b := range boxes {
		if err := errors.Join(n.Detach(ctx, b.Pod), r.RemoveSandbox(ctx, b.Pod)); err != nil {
			faults = append(faults, fmt.Errorf("pod %s/%s: %w", b.Namespace, b.Name, err))
		}
	}
	faults = append(faults, (&volume.Volumes{Root: root}).Keep(func(types.UID) bool { return false }))
	if t != nil {
		faults = append(faults, t.Remove())
	}
	return errors.Join(append(faults, n.Teardown(ctx))...)
}
