package durability

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"optimist/internal/api"
	"optimist/internal/client"
)

// trial has writers write and watchers watch, round by round. Each round ends badly and the next begins with a look at what is left.
type trial struct {
	*server
	logbook  *logbook
	writers  []*writer
	watchers []*watcher
	random   *rand.Rand
	end      func() error // of a round: what becomes of the server
	rounds   int

	compacted bool          // in the end there was less history
	opening   time.Duration // the longest time from start to the first answer
}

const (
	writerCount = 8
	longRound   = time.Second // long enough for a compaction with --history 1s
	longEvery   = 20          // rounds
)

func newTrial(s *server, seed uint64) *trial {
	t := &trial{server: s, logbook: newLogbook(), random: rand.New(rand.NewPCG(seed, 0))}
	for n := range writerCount {
		t.writers = append(t.writers, &writer{label: fmt.Sprintf("w%d", n), logbook: t.logbook, random: rand.New(rand.NewPCG(seed, uint64(n+1)))})
	}
	t.watchers = watchers(t.logbook)
	t.end = func() error { t.kill(); return nil }
	return t
}

// run goes through a number of rounds, or up to the first thing that should not be.
func (t *trial) run(ctx context.Context, rounds int) error {
	for range rounds {
		if err := t.round(ctx); err != nil {
			return fmt.Errorf("round %d: %w", t.rounds, err)
		}
		t.rounds++
	}
	c, err := t.look(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = c.Watch(ctx, api.Target{Kind: api.ConfigMapKind}, api.WatchOptions{After: 1})
	t.compacted = apierrors.IsResourceExpired(err)
	return nil
}

func (t *trial) round(ctx context.Context) error {
	if t.random.IntN(10) == 0 {
		if err := t.dieYoung(); err != nil {
			return err
		}
	}
	c, err := t.look(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	var g errgroup.Group
	for _, w := range t.writers {
		g.Go(func() error { return w.run(ctx, c) })
	}
	for _, w := range t.watchers {
		g.Go(func() error { return w.run(ctx, c, false) })
	}
	time.Sleep(t.length())
	return errors.Join(t.end(), g.Wait())
}

// length is a random moment for the end of the round.
func (t *trial) length() time.Duration {
	if t.rounds%longEvery == longEvery/2 {
		return longRound + time.Duration(t.random.Int64N(int64(300*time.Millisecond)))
	}
	return time.Duration(t.random.Int64N(int64(60 * time.Millisecond)))
}

// dieYoung ends the server while it starts.
func (t *trial) dieYoung() error {
	if err := t.launch(); err != nil {
		return err
	}
	time.Sleep(time.Duration(t.random.Int64N(int64(200 * time.Millisecond))))
	return t.end()
}

// look starts the server and compares what it has and what it tells with the logbook.
func (t *trial) look(ctx context.Context) (*client.Client, error) {
	began := time.Now()
	if err := t.start(); err != nil {
		return nil, fmt.Errorf("start: %w", err)
	}
	c, err := t.dial()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := t.compare(ctx, c); err != nil {
		return nil, errors.Join(err, c.Close(), t.last())
	}
	t.opening = max(t.opening, time.Since(began))
	return c, nil
}

func (t *trial) compare(ctx context.Context, s api.Service) error {
	list, err := s.List(ctx, api.Target{Kind: api.ConfigMapKind, Key: api.Key{Namespace: namespace}}, api.ListOptions{})
	if err != nil {
		return err
	}
	have := map[string]state{}
	for _, o := range list.Items {
		if o.GetName() == published {
			continue
		}
		have[o.GetName()] = state{o.(*corev1.ConfigMap).Data[dataText], api.RevisionOf(o)}
	}
	if err := t.logbook.settle(list.Revision, have); err != nil {
		return err
	}
	if err := t.catchUp(ctx, s); err != nil {
		return err
	}
	happened, err := t.logbook.round()
	for _, w := range t.watchers {
		err = errors.Join(err, w.compare(happened))
	}
	return err
}

// catchUp lets the watchers hear all that there is to hear.
func (t *trial) catchUp(ctx context.Context, s api.Service) error {
	var g errgroup.Group
	for _, w := range t.watchers {
		g.Go(func() error { return w.run(ctx, s, true) })
	}
	return g.Wait()
}

func (t *trial) report(tb testing.TB, what string) {
	tb.Helper()
	if t.logbook.count[done] < t.rounds || t.rounds > longEvery && !t.compacted {
		tb.Error("hardly anything was written, or nothing compacted")
	}
	tb.Logf("%d %s: %d writes acknowledged, %d refused, %d in doubt; %d revisions; at most %d ms from start to having checked everything",
		t.rounds, what, t.logbook.count[done], t.logbook.count[refused], t.logbook.count[unsure], t.logbook.newest, t.opening.Milliseconds())
}
