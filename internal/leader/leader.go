package leader

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"optimist/internal/api"
)

// Config says what is competed for, and who competes.
type Config struct {
	Service  api.Service
	Lease    api.Key
	ID       string        // unlike any other copy's
	Duration time.Duration // how long an unchanged lease binds the others; 0 = 15 s
	Deadline time.Duration // how long a leader goes on without having renewed; 0 = 10 s; must be shorter than Duration
	Retry    time.Duration // between two looks; 0 = 2 s
	Log      *slog.Logger  // nil = slog.Default()
}

func (c Config) withDefaults() Config {
	if c.Duration == 0 {
		c.Duration = 15 * time.Second
	}
	if c.Deadline == 0 {
		c.Deadline = 10 * time.Second
	}
	if c.Retry == 0 {
		c.Retry = 2 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return c
}

// errLost cancels lead's context.
var errLost = errors.New("the lease was lost")

// Run competes, leads while it may, and competes again, until ctx ends or lead returns by itself; what lead returned is then returned.
func Run(ctx context.Context, c Config, lead func(context.Context) error) error {
	c = c.withDefaults()
	for {
		held, err := c.acquire(ctx)
		if err != nil {
			return nil // ctx ended
		}
		c.Log.Info("leading", "lease", c.Lease.String(), "epoch", *held.Spec.LeaseTransitions)
		err = c.hold(ctx, held, lead)
		if !errors.Is(err, errLost) || ctx.Err() != nil {
			return err
		}
		c.Log.Warn("no longer leading", "lease", c.Lease.String())
	}
}

// firstRetry is the pause after a first failure: when a cluster starts, the API server is only just not there yet.
const firstRetry = 20 * time.Millisecond

// acquire looks every Retry until the lease could be taken, after failures sooner at first; it fails only with ctx.
func (c Config) acquire(ctx context.Context) (*coordinationv1.Lease, error) {
	var watched observation
	for again := firstRetry; ; again = min(2*again, c.Retry) {
		held, err := c.try(ctx, &watched)
		if held != nil {
			return held, nil
		}
		if err == nil {
			again = c.Retry
		} else if ctx.Err() == nil {
			c.Log.Debug("lease not taken", "lease", c.Lease.String(), "err", err)
		}
		select {
		case <-time.After(again):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// observation is a state of the lease, and since when by our clock we have seen no other.
type observation struct {
	version string
	since   time.Time
}

func (w *observation) expired(l *coordinationv1.Lease, own time.Duration) bool {
	if w.version != l.ResourceVersion {
		w.version, w.since = l.ResourceVersion, time.Now()
	}
	if s := l.Spec.LeaseDurationSeconds; s != nil {
		own = time.Duration(*s) * time.Second
	}
	return time.Since(w.since) >= own
}

// try takes the lease if nobody holds it; nil, nil means that somebody does.
func (c Config) try(ctx context.Context, watched *observation) (*coordinationv1.Lease, error) {
	l, err := api.Leases.Get(ctx, c.Service, c.Lease)
	if apierrors.IsNotFound(err) {
		return api.Leases.Create(ctx, c.Service, c.taken(&coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Namespace: c.Lease.Namespace, Name: c.Lease.Name},
		}))
	}
	if err != nil {
		return nil, err
	}
	switch holder := l.Spec.HolderIdentity; {
	case holder == nil || *holder == "":
	case *holder == c.ID: // ours, from before a restart: let go first, so that the epoch changes and nothing of then gets through now
		if l, err = c.free(ctx, l); err != nil {
			return nil, err
		}
	case !watched.expired(l, c.Duration):
		return nil, nil
	}
	return api.Leases.Update(ctx, c.Service, c.taken(l.DeepCopy()))
}

// taken is the lease as won by us. The server counts its transitions.
func (c Config) taken(l *coordinationv1.Lease) *coordinationv1.Lease {
	now, seconds := metav1.NewMicroTime(time.Now()), int32(c.Duration.Seconds())
	l.Spec.HolderIdentity, l.Spec.LeaseDurationSeconds, l.Spec.AcquireTime, l.Spec.RenewTime = &c.ID, &seconds, &now, &now
	return l
}

// hold leads and renews side by side, and returns after both have ended.
func (c Config) hold(ctx context.Context, held *coordinationv1.Lease, lead func(context.Context) error) error {
	leading, cancel := context.WithCancelCause(api.WithFence(ctx, api.Fence{Lease: c.Lease, Holder: c.ID, Epoch: *held.Spec.LeaseTransitions}))
	defer cancel(nil)
	renewed := make(chan *coordinationv1.Lease)
	go func() {
		last, err := c.renew(leading, held)
		cancel(err)
		renewed <- last
	}()
	err := lead(leading)
	if errors.Is(context.Cause(leading), errLost) {
		<-renewed
		return fmt.Errorf("%s: %w", c.Lease, errLost)
	}
	cancel(nil)
	c.release(context.WithoutCancel(ctx), <-renewed)
	return err
}

// renew keeps the lease until ctx ends or the deadline passes without success. It returns the lease as last written.
func (c Config) renew(ctx context.Context, l *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	for good := time.Now(); ; {
		select {
		case <-time.After(c.Retry):
		case <-ctx.Done():
			return l, ctx.Err()
		}
		began := time.Now()
		next := l.DeepCopy()
		next.Spec.RenewTime = &metav1.MicroTime{Time: began}
		rctx, cancel := context.WithDeadline(ctx, good.Add(c.Deadline))
		written, err := api.Leases.Update(rctx, c.Service, next)
		cancel()
		switch {
		case err == nil:
			l, good = written, began
		case apierrors.IsConflict(err), apierrors.IsNotFound(err):
			if l = c.mine(ctx, l); l == nil {
				return nil, errLost
			}
		}
		if time.Since(good) >= c.Deadline {
			return l, errLost
		}
	}
}

// mine reads the lease again after a conflict: our own renewal may have arrived although its answer did not. nil = it is not ours any more.
func (c Config) mine(ctx context.Context, l *coordinationv1.Lease) *coordinationv1.Lease {
	now, err := api.Leases.Get(ctx, c.Service, c.Lease)
	if err != nil && !apierrors.IsNotFound(err) {
		return l // unknown: the deadline decides
	}
	if err != nil || now.Spec.HolderIdentity == nil || *now.Spec.HolderIdentity != c.ID ||
		now.Spec.LeaseTransitions == nil || *now.Spec.LeaseTransitions != *l.Spec.LeaseTransitions {
		return nil
	}
	return now
}

// release lets the next one take over at once instead of after Duration.
func (c Config) release(ctx context.Context, l *coordinationv1.Lease) {
	if l == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.Retry)
	defer cancel()
	if _, err := c.free(ctx, l); err != nil {
		c.Log.Debug("lease not released", "lease", c.Lease.String(), "err", err)
	}
}

func (c Config) free(ctx context.Context, l *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	free, nobody := l.DeepCopy(), ""
	free.Spec.HolderIdentity = &nobody
	return api.Leases.Update(ctx, c.Service, free)
}
