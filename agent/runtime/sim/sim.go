package sim

import (
	"cmp"
	"context"
	"crypto/sha256"
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"optimist/agent/runtime"
	"optimist/internal/wake"
)

var (
	_ runtime.Runtime = (*Runtime)(nil)
	_ runtime.Logger  = (*Runtime)(nil)
	_ runtime.Prober  = (*Runtime)(nil)
	_ runtime.Dialer  = (*Runtime)(nil)
)

// Runtime is the simulated runtime of one node. It outlives the agent that uses it, as containerd does.
type Runtime struct {
	mu     sync.Mutex
	boxes  map[types.UID]*sandbox
	images map[string]bool // pulled
	feeds  map[*feed]bool
}

type sandbox struct {
	runtime.Sandbox // its Containers stay empty
	containers      []*container
}

// New makes an empty node.
func New() *Runtime {
	return &Runtime{boxes: map[types.UID]*sandbox{}, images: map[string]bool{}, feeds: map[*feed]bool{}}
}

// Version names the runtime.
func (r *Runtime) Version(context.Context) (string, error) { return "sim://1.0.0", nil }

// State copies what there is.
func (r *Runtime) State(context.Context) ([]runtime.Sandbox, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]runtime.Sandbox, 0, len(r.boxes))
	for _, b := range r.boxes {
		all = append(all, b.copy())
	}
	slices.SortFunc(all, func(a, b runtime.Sandbox) int { return cmp.Compare(a.Pod, b.Pod) })
	return all, nil
}

// Sandbox copies one pod.
func (r *Runtime) Sandbox(_ context.Context, pod types.UID) (*runtime.Sandbox, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.boxes[pod]
	if b == nil {
		return nil, nil
	}
	s := b.copy()
	return &s, nil
}

func (b *sandbox) copy() runtime.Sandbox {
	s := b.Sandbox
	for _, c := range b.containers {
		s.Containers = append(s.Containers, c.Container)
	}
	return s
}

// StartSandbox makes the record, or finds it.
func (r *Runtime) StartSandbox(_ context.Context, spec runtime.SandboxSpec) (runtime.Sandbox, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.boxes[spec.Pod]
	if b == nil {
		b = &sandbox{Sandbox: runtime.Sandbox{SandboxSpec: spec, Created: time.Now()}}
		r.boxes[spec.Pod] = b
	}
	return b.copy(), nil
}

// SetAddress remembers both.
func (r *Runtime) SetAddress(_ context.Context, pod types.UID, a netip.Addr, hosts string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.boxes[pod]
	if b == nil {
		return fmt.Errorf("address of sandbox %s: %w", pod, runtime.ErrNotFound)
	}
	b.Address, b.Hosts = a, hosts
	return nil
}

// RemoveSandbox forgets the pod; what still ran is killed.
func (r *Runtime) RemoveSandbox(_ context.Context, pod types.UID) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b := r.boxes[pod]; b != nil {
		for _, c := range b.containers {
			r.end(c, killed)
		}
		delete(r.boxes, pod)
	}
	return nil
}

// feed is one caller of Events: the pods that changed since it last looked.
type feed struct {
	pods []types.UID
	some wake.Bell
}

// Events yields pods in which a container ended by itself.
func (r *Runtime) Events(ctx context.Context) iter.Seq2[types.UID, error] {
	return func(yield func(types.UID, error) bool) {
		f := &feed{some: wake.New()}
		r.locked(func() { r.feeds[f] = true })
		defer r.locked(func() { delete(r.feeds, f) })
		for {
			select {
			case <-ctx.Done():
				return
			case <-f.some:
			}
			var pods []types.UID
			r.locked(func() { pods, f.pods = f.pods, nil })
			for _, pod := range pods {
				if !yield(pod, nil) {
					return
				}
			}
		}
	}
}

func (r *Runtime) locked(do func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	do()
}

// tell adds a pod to every feed. The caller holds the mutex.
func (r *Runtime) tell(pod types.UID) {
	for f := range r.feeds {
		f.pods = append(f.pods, pod)
		f.some.Ring()
	}
}

const slowPull = 10 * time.Second

// Image finds what was pulled.
func (r *Runtime) Image(_ context.Context, ref string) (runtime.Image, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.images[ref] {
		return runtime.Image{}, fmt.Errorf("image %s: %w", ref, runtime.ErrNoImage)
	}
	return image(ref), nil
}

// Pull succeeds, unless the name asks for something else.
func (r *Runtime) Pull(ctx context.Context, ref string, _ runtime.Credentials) (runtime.Image, error) {
	var err error
	switch repo := repository(ref); {
	case strings.HasSuffix(repo, "missing"):
		err = runtime.ErrNoImage
	case strings.HasSuffix(repo, "unauthorized"):
		err = runtime.ErrUnauthorized
	case strings.HasSuffix(repo, "slow"):
		err = wake.After(ctx, slowPull, nil)
	}
	if err != nil {
		return runtime.Image{}, fmt.Errorf("pull %s: %w", ref, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.images[ref] = true
	return image(ref), nil
}

func image(ref string) runtime.Image {
	return runtime.Image{Ref: ref, ID: fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(ref))), Size: 1 << 20, Tags: []string{ref}}
}
