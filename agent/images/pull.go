package images

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
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
	turns   [64]chan struct{} // each of capacity 1: an image's is the right to pull it
}

// NewPuller makes one for a runtime.
func NewPuller(r runtime.Runtime) *Puller {
	p := &Puller{runtime: r, slots: make(chan struct{}, slots)}
	for i := range p.turns {
		p.turns[i] = make(chan struct{}, 1)
	}
	return p
}

// Pull fetches an image. Unless always is set, it is content with what another pod pulled in the meantime.
func (p *Puller) Pull(ctx context.Context, ref string, always bool, keys Keyring) (runtime.Image, error) {
	turn := p.turns[crc32.ChecksumIEEE([]byte(ref))%uint32(len(p.turns))] // two images may share one: then one waits a little longer
	if err := acquire(ctx, turn); err != nil {
		return runtime.Image{}, err
	}
	defer func() { <-turn }()
	if !always {
		if image, err := p.runtime.Image(ctx, ref); err == nil {
			return image, nil
		}
	}
	if err := acquire(ctx, p.slots); err != nil {
		return runtime.Image{}, err
	}
	defer func() { <-p.slots }()
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

func acquire(ctx context.Context, c chan struct{}) error {
	select {
	case c <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
