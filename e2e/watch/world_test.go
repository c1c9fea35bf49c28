package watch

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"optimist/apiserver/registry"
	"optimist/apiserver/registry/kinds"
	"optimist/apiserver/store"
	"optimist/internal/api"
)

// world is a registry that is restarted now and then, with its writers and watchers.
type world struct {
	open    func() (store.Store, error) // the store, again
	journal *journal
	random  *rand.Rand
	floor   api.Revision // what is compacted away

	mu   sync.RWMutex // held while there is no registry
	svc  *registry.Registry
	db   store.Store
	stop func() error

	reading  sync.RWMutex // held while there is writing
	writers  []*writer
	watchers []*watcher
	restarts int
	expired  int // visitors who came too late
}

const (
	writerCount = 3
	perPhase    = 5000 // writes
	podCount    = 12   // of each writer in each namespace
)

var namespaces = []string{"ns0", "ns1", "ns2", "ns3"}

func newWorld(t *testing.T, open func() (store.Store, error)) *world {
	w := &world{open: open, journal: newJournal(), random: rand.New(rand.NewPCG(1, 1))}
	if err := w.begin(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.stop(); err != nil {
			t.Error(err)
		}
	})
	for _, ns := range namespaces {
		if _, err := api.Namespaces.Create(t.Context(), w.svc, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: ns}}); err != nil {
			t.Fatal(err)
		}
	}
	for n := range writerCount {
		w.writers = append(w.writers, &writer{number: n, world: w, random: rand.New(rand.NewPCG(2, uint64(n))), pods: map[api.Key]*pod{}})
	}
	for n, s := range selections {
		w.watchers = append(w.watchers, newWatcher(w, 2*n, s, false), newWatcher(w, 2*n+1, s, n%2 == 0))
	}
	return w
}

// begin runs a registry over the store.
func (w *world) begin() error {
	db, err := w.open()
	if err != nil {
		return err
	}
	r, err := registry.New(db, registry.Options{Rules: kinds.All(), Ranges: registry.Ranges{
		ClusterCIDR: netip.MustParsePrefix("10.244.0.0/16"), NodeBits: 24, ServiceCIDR: netip.MustParsePrefix("10.96.0.0/16")}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	w.svc, w.db = r, db
	w.stop = func() error { cancel(); return <-done }
	return r.Bootstrap(ctx)
}

// restart stops the registry while it is used, and begins another over the same data.
func (w *world) restart() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.restarts++
	return errors.Join(w.stop(), w.begin())
}

// service waits until there is one.
func (w *world) service() *registry.Registry {
	w.mu.RLock()
	defer w.mu.RUnlock()
	return w.svc
}

// phase has everybody write, with one or two accidents in the midst of it; then all watchers hear the rest, and are examined.
func (w *world) phase(ctx context.Context) error {
	w.reading.Lock()
	g, writing := errgroup.WithContext(ctx)
	half := make(chan struct{}, writerCount)
	for _, x := range w.writers {
		g.Go(func() error { return x.run(writing, perPhase/writerCount, half) })
	}
	g.Go(func() error {
		select {
		case <-half:
			return w.accident(writing)
		case <-writing.Done():
			return nil
		}
	})
	err := g.Wait()
	w.reading.Unlock()
	if err == nil {
		err = w.journal.end()
	}
	if err == nil {
		err = w.examine(ctx)
	}
	return err
}

// accident compacts in every second phase, and restarts in every third.
func (w *world) accident(ctx context.Context) error {
	n := len(w.journal.phases) - 1
	if n%2 == 1 {
		now, err := w.svc.Now(ctx)
		if err != nil {
			return err
		}
		w.floor = max(w.floor, now-api.Revision(w.random.IntN(perPhase)))
		if err := w.db.Compact(ctx, store.Revision(w.floor)); err != nil {
			return err
		}
	}
	if n%3 == 0 {
		return w.restart()
	}
	return nil
}

// examine waits for all watchers, compares each with the journal, and lets some visitors begin in the past.
func (w *world) examine(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	now, err := w.svc.Now(ctx)
	if err != nil {
		return err
	}
	late := context.AfterFunc(ctx, func() {
		for _, x := range w.watchers {
			x.mu.Lock()
			x.fault = errors.Join(x.fault, fmt.Errorf("%s has been told up to %d, and should be at %d", x.name, x.after, now))
			x.moved.Broadcast()
			x.mu.Unlock()
		}
	})
	for _, x := range w.watchers {
		if err = errors.Join(x.await(now), x.check(w.journal)); err != nil {
			break
		}
	}
	if late() && err == nil {
		err = w.visitors(ctx, now)
	}
	return err
}

// visitors begin at random revisions: those that are compacted away are refused, from the others on everything is told.
func (w *world) visitors(ctx context.Context, now api.Revision) error {
	for n := range 8 {
		v := newWatcher(w, n, selections[w.random.IntN(len(selections))], false)
		span := max(1, min(int64(now), 3*perPhase))
		v.after = max(1, now-api.Revision(w.random.Int64N(span)))
		v.checked, v.listing = v.after, false
		o := v.options()
		o.After = v.after
		_, err := w.svc.Watch(ctx, api.Target{Kind: api.PodKind, Key: api.Key{Namespace: v.namespace}}, o)
		if apierrors.IsResourceExpired(err) && v.after < w.floor {
			w.expired++
			continue
		}
		if err != nil {
			return fmt.Errorf("a visitor after %d, at %d, compacted to %d: %w", v.after, now, w.floor, err)
		}
		visit, leave := context.WithCancel(ctx)
		go v.run(visit)
		err = v.await(now)
		leave()
		if err = errors.Join(err, v.check(w.journal)); err != nil {
			return err
		}
	}
	return nil
}

// writer has some pods of its own, so that it always knows what they are.
type writer struct {
	number int
	world  *world
	random *rand.Rand
	pods   map[api.Key]*pod
}

func (x *writer) run(ctx context.Context, writes int, half chan<- struct{}) error {
	for n := 0; n < writes && ctx.Err() == nil; {
		written, err := x.one(ctx)
		if err != nil {
			return err
		}
		if written {
			n++
		}
		if written && n == writes/2 {
			half <- struct{}{}
		}
		if x.random.IntN(200) == 0 { // bookmarks for all
			if _, err := x.world.service().Now(ctx); err != nil && !apierrors.IsServiceUnavailable(err) {
				return err
			}
		}
	}
	return nil
}

// one makes a write, or finds that the registry is being restarted.
func (x *writer) one(ctx context.Context) (bool, error) {
	key := api.Key{Namespace: namespaces[x.random.IntN(len(namespaces))], Name: fmt.Sprintf("p%d", x.random.IntN(podCount)*writerCount+x.number)}
	before := x.pods[key]
	r, after := x.request(key, before)
	res, err := x.world.service().Write(ctx, r)
	switch {
	case apierrors.IsServiceUnavailable(err):
		return false, nil
	case err != nil:
		return false, err
	}
	x.world.journal.add(record{res.Revision, key, before, after})
	if x.pods[key] = after; after == nil {
		delete(x.pods, key)
	}
	return true, nil
}

var apps, nodes = []string{"", "a", "b", "c"}, []string{"", "", "n1", "n2", "n3"}

func (x *writer) request(key api.Key, p *pod) (api.Request, *pod) {
	if p == nil {
		next := &pod{apps[x.random.IntN(len(apps))], nodes[x.random.IntN(len(nodes))]}
		body := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
			Spec: corev1.PodSpec{NodeName: next.node, Containers: []corev1.Container{{Name: "c", Image: "i"}}}}
		if next.app != "" {
			body.Labels = map[string]string{"app": next.app}
		}
		return api.Pods.Request(api.VerbCreate, key, "", body), next
	}
	switch n := x.random.IntN(10); {
	case n < 3:
		r := api.Pods.Request(api.VerbDelete, key, "", nil)
		r.Grace = new(int64(0))
		return r, nil
	case n < 6 && p.node == "":
		node := nodes[2+x.random.IntN(3)]
		return api.Pods.Request(api.VerbCreate, key, "binding", &corev1.Binding{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
			Target: corev1.ObjectReference{Kind: "Node", Name: node}}), &pod{p.app, node}
	}
	next := &pod{apps[x.random.IntN(len(apps))], p.node}
	label := fmt.Sprintf("%q", next.app)
	if next.app == "" {
		label = "null"
	}
	r := api.Pods.Request(api.VerbPatch, key, "", nil)
	r.Patch = &api.Patch{Type: types.MergePatchType, Data: fmt.Appendf(nil, `{"metadata":{"labels":{"app":%s},"annotations":{"n":"%d"}}}`, label, x.random.Int())}
	return r, next
}
