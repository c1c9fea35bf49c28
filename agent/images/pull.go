package images

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/distribution/reference"

	"optimist/agent/runtime"
)

// The back-off curve of failing pulls and of crashing containers: 10 s, doubled each time, up to 5 minutes.
const (
	firstDelay = 10 * time.Second
	lastDelay  = 5 * time.Minute
)

// Delay is the pause after the n-th failure in a row (n ≥ 1).
func Delay(failures int) time.Duration {
	d := firstDelay
	for range failures - 1 {
		if d *= 2; d >= lastDelay {
			return lastDelay
		}
	}
	return d
}

// Check says what is wrong with an image's name.
func Check(ref string) error {
	if _, err := reference.ParseNormalizedNamed(ref); err != nil {
		return fmt.Errorf("couldn't parse image name %q: %w", ref, err)
	}
	return nil
}

const slots = 3 // pulls at the same time: more only share the same line

// Puller pulls for all pods of a node.
type Puller struct {
	runtime runtime.Runtime
	slots   chan struct{}

	mu    sync.Mutex
	turns map[string]*turn // images being pulled
}

// turn is the right to pull one image.
type turn struct {
	free    chan struct{} // capacity 1
	waiters int
}

// NewPuller makes one for a runtime.
func NewPuller(r runtime.Runtime) *Puller {
	return &Puller{runtime: r, slots: make(chan struct{}, slots), turns: map[string]*turn{}}
}

// Find returns an image that is on the node, or an error that wraps runtime.ErrNoImage.
func (p *Puller) Find(ctx context.Context, ref string) (runtime.Image, error) {
	return p.runtime.Image(ctx, ref)
}

// Pull fetches an image. Unless always is set, it is content with what another pod pulled in the meantime.
func (p *Puller) Pull(ctx context.Context, ref string, always bool, keys Keyring) (runtime.Image, error) {
	done, err := p.take(ctx, ref)
	if err != nil {
		return runtime.Image{}, err
	}
	defer done()
	if !always {
		if image, err := p.runtime.Image(ctx, ref); err == nil {
			return image, nil
		}
	}
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return runtime.Image{}, ctx.Err()
	}
	return p.try(ctx, ref, keys.For(ref))
}

// try uses one login after the other until the registry accepts one.
func (p *Puller) try(ctx context.Context, ref string, logins []runtime.Credentials) (runtime.Image, error) {
	if len(logins) == 0 {
		logins = []runtime.Credentials{{}}
	}
	var faults []error
	for _, login := range logins {
		image, err := p.runtime.Pull(ctx, ref, login)
		if err == nil {
			return image, nil
		}
		faults = append(faults, err)
		if !errors.Is(err, runtime.ErrUnauthorized) {
			break
		}
	}
	return runtime.Image{}, errors.Join(faults...)
}

// take waits for the turn to pull an image; the caller gives it back with done.
func (p *Puller) take(ctx context.Context, ref string) (done func(), err error) {
	p.mu.Lock()
	t := p.turns[ref]
	if t == nil {
		t = &turn{free: make(chan struct{}, 1)}
		p.turns[ref] = t
	}
	t.waiters++
	p.mu.Unlock()
	select {
	case t.free <- struct{}{}:
		return func() { <-t.free; p.leave(ref, t) }, nil
	case <-ctx.Done():
		p.leave(ref, t)
		return nil, ctx.Err()
	}
}

func (p *Puller) leave(ref string, t *turn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t.waiters--; t.waiters == 0 {
		delete(p.turns, ref)
	}
}
