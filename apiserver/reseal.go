package apiserver

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/internal/api"
	"optimist/internal/console"
)

// reseal finishes what a rotation, or the first start with keys, has begun.
func (s *Server) reseal(ctx context.Context) error {
	if s.Keys == nil {
		return nil
	}
	n, err := s.resealAll(ctx)
	if err != nil && ctx.Err() == nil { // the next start or rotation tries again; what is there can be read
		s.Log.Error("cannot encrypt what is stored with the newest key", "err", err)
	}
	if n > 0 {
		s.Log.Info("encrypted what is stored with the newest key", "values", n)
	}
	return nil
}

// rotate makes a new key, encrypts with it what is stored, and says so in one line.
func (s *Server) rotate(ctx context.Context) (api.Stream, error) {
	if s.Keys == nil {
		return nil, apierrors.NewBadRequest("this API server keeps everything in plain text: it has no keys (a simulated cluster has none)")
	}
	if err := s.Keys.Rotate(); err != nil {
		return nil, apierrors.NewInternalError(err)
	}
	n, err := s.resealAll(ctx)
	if err != nil {
		return nil, apierrors.NewInternalError(fmt.Errorf("key %s is in use, but not yet for all that is stored (the next start or rotation goes on): %w", s.Keys.Active(), err))
	}
	return console.Text(ctx, fmt.Appendf(nil, "key %s is in use; %d values are encrypted with it\n", s.Keys.Active(), n)), nil
}

func (s *Server) resealAll(ctx context.Context) (values int, err error) {
	if values, err = s.registry.Reseal(ctx); err == nil {
		err = s.Keys.Retire()
	}
	return values, err
}
