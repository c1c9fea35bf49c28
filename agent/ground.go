package agent

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/runtime"
)

const patience = 2 * time.Minute // for one reading of the runtime's state

// ground reads the runtime's state for all workers. Whoever asks while a reading is under way gets the next one, together with everybody
// else who asked meanwhile: an answer is never older than its question, and a hundred questions cost two readings.
type ground struct {
	runtime runtime.Runtime

	mu   sync.Mutex
	busy bool
	next *reading // will begin when the present one ends
}

type reading struct {
	done  chan struct{}
	boxes map[types.UID]*runtime.Sandbox
	err   error
}

// Sandbox returns a pod's sandbox as it is now; nil: it has none.
func (g *ground) Sandbox(ctx context.Context, pod types.UID) (*runtime.Sandbox, error) {
	boxes, err := g.all(ctx)
	return boxes[pod], err
}

func (g *ground) all(ctx context.Context) (map[types.UID]*runtime.Sandbox, error) {
	r := g.join(ctx)
	select {
	case <-r.done:
		return r.boxes, r.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// join returns the next reading, and sees to it that it begins.
func (g *ground) join(ctx context.Context) *reading {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.next == nil {
		g.next = &reading{done: make(chan struct{})}
	}
	r := g.next
	if !g.busy {
		g.busy = true
		go g.read(context.WithoutCancel(ctx)) // it is for all, not only for who came first
	}
	return r
}

// read does one reading after the other while there is somebody to read for.
func (g *ground) read(ctx context.Context) {
	for {
		g.mu.Lock()
		r := g.next
		if g.next = nil; r == nil {
			g.busy = false
			g.mu.Unlock()
			return
		}
		g.mu.Unlock()
		r.boxes, r.err = g.state(ctx)
		close(r.done)
	}
}

func (g *ground) state(ctx context.Context) (map[types.UID]*runtime.Sandbox, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	list, err := g.runtime.State(ctx)
	if err != nil {
		return nil, fmt.Errorf("state of the container runtime: %w", err)
	}
	boxes := make(map[types.UID]*runtime.Sandbox, len(list))
	for i := range list {
		boxes[list[i].Pod] = &list[i]
	}
	return boxes, nil
}
