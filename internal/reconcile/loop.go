package reconcile

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"golang.org/x/sync/errgroup"

	"optimist/internal/api"
	"optimist/internal/console"
	"optimist/internal/informer"
	"optimist/internal/wake"
)

// Loop runs one controller.
type Loop struct {
	Controller
	deps  Deps
	queue *queue
}

// NewLoop lets the controller's queue hear the changes of the kinds that it declares. The set must not be running yet.
func NewLoop(c Controller, d Deps) *Loop {
	l := &Loop{Controller: c, deps: d, queue: newQueue()}
	if c.For != nil {
		l.listen(Watch{c.For, ToItself})
	}
	for _, k := range c.Owns {
		l.listen(Watch{k, ToControllers(c.For)})
	}
	for _, w := range c.Watches {
		l.listen(w)
	}
	return l
}

func (l *Loop) listen(w Watch) {
	l.deps.Set.Listen(w.Kind, func(ch informer.Change) {
		cause := api.Cause{Type: api.CauseTrigger, Revision: ch.Revision}
		if ch.Initial {
			cause.Type = api.CauseRestart
		}
		for _, key := range w.Map(ch.Before, ch.After) {
			l.queue.add(key, api.Causes{}.Add(cause), time.Now())
		}
	})
}

// Begin waits for the first lists, and makes sure that nobody plans before all is known that was written up to now: whoever begins may just
// have taken over from another.
func (l *Loop) Begin(ctx context.Context) error {
	if err := l.deps.Set.Synced(ctx); err != nil {
		return err
	}
	l.deps.Set.Doubt()
	return nil
}

// Run begins, and works until ctx ends.
func (l *Loop) Run(ctx context.Context) error {
	if err := l.Begin(ctx); err != nil {
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	for range max(1, l.Workers) {
		g.Go(func() error {
			l.work(ctx)
			return nil
		})
	}
	return g.Wait()
}

func (l *Loop) work(ctx context.Context) {
	for ctx.Err() == nil {
		wait, worked := l.step(ctx)
		if !worked {
			_ = wake.After(ctx, cmp.Or(wait, wake.Never), l.queue.changed)
		}
	}
}

// Step reconciles one key if one is due, and reports whether it did. While the set is Unsure it waits for the watches; who steps and delivers
// from one goroutine asks that first.
func (l *Loop) Step(ctx context.Context) bool {
	_, worked := l.step(ctx)
	return worked
}

func (l *Loop) step(ctx context.Context) (wait time.Duration, worked bool) {
	key, causes, wait, ok := l.queue.take(time.Now())
	if !ok {
		return wait, false
	}
	defer l.queue.done(key)
	again, err := l.reconcile(ctx, key, causes)
	switch {
	case ctx.Err() != nil:
		l.queue.add(key, causes, time.Now()) // we were told to stop, perhaps half-way: whoever leads next here begins with it
	case err != nil:
		pause := l.queue.failed(key)
		l.report(key, causes, err, pause)
		l.queue.add(key, causes, time.Now().Add(pause))
	default:
		l.queue.succeeded(key)
		if again > 0 {
			l.queue.add(key, api.Causes{}.Add(timer(causes)), time.Now().Add(again))
		}
	}
	return 0, true
}

func (l *Loop) reconcile(ctx context.Context, key api.Key, causes api.Causes) (time.Duration, error) {
	if err := l.deps.Set.Settle(ctx); err != nil {
		return 0, err
	}
	line := &console.Act{Causes: causes}
	defer line.Log(ctx, l.deps.Log, slog.LevelInfo)
	return l.Reconcile(context.WithValue(api.WithCauses(ctx, causes), lineKey{}, line), key)
}

// report logs a failure, unless it only says that the plan was made on a state that has passed.
func (l *Loop) report(key api.Key, causes api.Causes, err error, pause time.Duration) {
	level := slog.LevelWarn
	if Stale(err) {
		level = slog.LevelDebug
	}
	l.deps.Log.Log(context.Background(), level, "reconcile failed, will retry", "object", l.object(key), "cause", causes.String(), "retry", pause, "err", err)
}

// object names a key as the decisions do.
func (l *Loop) object(key api.Key) string {
	if l.For == nil {
		return key.String()
	}
	return l.For.Singular + "/" + key.String()
}

// Stale reports whether an error means that the world had moved on when we wrote: looking again is the whole cure.
func Stale(err error) bool {
	return apierrors.IsConflict(err) || apierrors.IsAlreadyExists(err) || apierrors.IsNotFound(err)
}

// timer is the edge of a wake-up by the clock, back to the newest change that the timer was set after.
func timer(causes api.Causes) api.Cause {
	c := api.Cause{Type: api.CauseTimer}
	for _, e := range causes.Edges {
		c.Revision = max(c.Revision, e.Revision)
	}
	return c
}

// ToItself is a Watch.Map to the key of what has changed.
func ToItself(before, after api.Object) []api.Key {
	return both(before, after, func(o api.Object) (api.Key, bool) { return api.KeyOf(o), true })
}

// ToControllers is a Watch.Map to the object of a kind that controls what has changed, or did.
func ToControllers(k *api.Kind) func(before, after api.Object) []api.Key {
	return func(before, after api.Object) []api.Key {
		return both(before, after, func(o api.Object) (api.Key, bool) { return ControllerOf(k, o) })
	}
}

// both maps the object before and after a change and returns the one or two keys.
func both(before, after api.Object, to func(api.Object) (api.Key, bool)) []api.Key {
	var keys []api.Key
	for _, o := range []api.Object{before, after} {
		if o == nil {
			continue
		}
		if key, ok := to(o); ok && (len(keys) == 0 || keys[0] != key) {
			keys = append(keys, key)
		}
	}
	return keys
}

func groupKind(r metav1.OwnerReference) schema.GroupKind {
	return schema.FromAPIVersionAndKind(r.APIVersion, r.Kind).GroupKind()
}
