package sim

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"optimist/agent/runtime"
)

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
		err = sleep(ctx, slowPull)
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

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
