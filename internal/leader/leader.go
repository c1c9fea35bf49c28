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
	"optimist/internal/wake"
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
func Run(ctx context.Context, cfg Config, lead func(context.Context) error) error {
	for c := NewCandidate(cfg); ; {
		if err := c.acquire(ctx); err != nil {
			return nil // ctx ended
		}
		c.Log.Info("leading", "lease", c.Lease.String(), "epoch", c.Fence().Epoch)
		err := c.hold(ctx, lead)
		if !errors.Is(err, errLost) || ctx.Err() != nil {
			return err
		}
		c.Log.Warn("no longer leading", "lease", c.Lease.String())
	}
}

// Candidate is one copy in the competition. Step is its synchronous core (law 11), Run the goroutines around it.
type Candidate struct {
	Config
	watched observation           // the lease while somebody else holds it
	held    *coordinationv1.Lease // as we last wrote it; nil = we do not lead
	good    time.Time             // when the last renewal began that succeeded
}

// NewCandidate returns a copy that does not lead yet.
func NewCandidate(c Config) *Candidate { return &Candidate{Config: c.withDefaults()} }

// Step looks once: it takes the lease if nobody holds it, and renews it if it is ours. Afterwards Fence says whether we lead.
func (c *Candidate) Step(ctx context.Context) error {
	if c.held != nil {
		return c.renew(ctx)
	}
	held, err := c.try(ctx, &c.watched)
	c.held, c.good = held, time.Now()
	return err
}

// Fence is what a leader's writes carry; nil while this copy does not lead.
func (c *Candidate) Fence() *api.Fence {
	if c.held == nil {
		return nil
	}
	return &api.Fence{Lease: c.Lease, Holder: c.ID, Epoch: *c.held.Spec.LeaseTransitions}
}

// firstRetry is the pause after a first failure: when a cluster starts, the API server is only just not there yet.
const firstRetry = 20 * time.Millisecond

// acquire looks every Retry until the lease could be taken, after failures sooner at first; it fails only with ctx.
func (c *Candidate) acquire(ctx context.Context) error {
	for again := firstRetry; ; again = min(2*again, c.Retry) {
		err := c.Step(ctx)
		if c.held != nil {
			return nil
		}
		if err == nil {
			again = c.Retry
		} else if ctx.Err() == nil {
			c.Log.Debug("lease not taken", "lease", c.Lease.String(), "err", err)
		}
		if err := wake.After(ctx, again, nil); err != nil {
			return err
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
func (c *Candidate) hold(ctx context.Context, lead func(context.Context) error) error {
	leading, cancel := context.WithCancelCause(api.WithFence(ctx, *c.Fence()))
	defer cancel(nil)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		cancel(c.renewals(leading))
	}()
	err := lead(leading)
	if errors.Is(context.Cause(leading), errLost) {
		<-renewed
		return fmt.Errorf("%s: %w", c.Lease, errLost)
	}
	cancel(nil)
	<-renewed
	c.release(context.WithoutCancel(ctx), c.held)
	return err
}

// renewals keep the lease until ctx ends or it is lost.
func (c *Candidate) renewals(ctx context.Context) error {
	for {
		if err := wake.After(ctx, c.Retry, nil); err != nil {
			return err
		}
		if err := c.Step(ctx); c.held == nil {
			return err
		}
	}
}

// renew writes the lease once. If it is not ours any more, or the deadline has passed without success, we lead no longer.
func (c *Candidate) renew(ctx context.Context) error {
	began := time.Now()
	next := c.held.DeepCopy()
	next.Spec.RenewTime = &metav1.MicroTime{Time: began}
	rctx, cancel := context.WithDeadline(ctx, c.good.Add(c.Deadline))
	written, err := api.Leases.Update(rctx, c.Service, next)
	cancel()
	switch {
	case err == nil:
		c.held, c.good = written, began
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		c.held = c.mine(ctx, c.held)
	}
	if c.held == nil || time.Since(c.good) >= c.Deadline {
		c.held, c.watched = nil, observation{}
		return errLost
	}
	return err
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
